/// <reference types="vite/client" />
declare module "virtual:world" {
  const world: import("geojson").FeatureCollection;
  export default world;
}
