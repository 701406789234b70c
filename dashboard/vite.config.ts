import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import { worldPlugin } from "./world.ts";

// `npm run dev` asks a running `sensor serve --allow-origin http://localhost:5173`.
const SERVER = process.env.SENSOR_URL ?? "http://127.0.0.1:8765";

export default defineConfig({
  plugins: [react(), worldPlugin()],
  build: {
    outDir: "../sensor/web",
    emptyOutDir: true,
    target: "es2023",
    assetsInlineLimit: 0, // data: is not in the Content-Security-Policy
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
    license: { fileName: "licenses.md" },
  },
  server: {
    proxy: {
      "^/(analytics|agents|regions|healthz)": { target: SERVER, changeOrigin: true },
      "/ws": { target: SERVER, changeOrigin: true, ws: true },
    },
  },
  test: {
    environment: "jsdom",
    include: ["test/**/*.test.{ts,tsx}"],
    setupFiles: ["test/setup.ts"],
    restoreMocks: true,
  },
});
