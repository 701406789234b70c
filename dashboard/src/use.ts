import { createContext, useContext, useSyncExternalStore } from "react";
import type { Dashboard, State } from "./store";

export const DashboardContext = createContext<Dashboard | null>(null);

export function useDashboard(): Dashboard {
  const found = useContext(DashboardContext);
  if (!found) throw new Error("no dashboard around this component");
  return found;
}

/** A part of the state; the component draws again when that part is another. */
export function useStore<T>(pick: (state: State) => T): T {
  const dashboard = useDashboard();
  return useSyncExternalStore(dashboard.subscribe, () => pick(dashboard.snapshot()));
}
