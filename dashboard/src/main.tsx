import "./styles/tokens.css";
import "./styles/page.css";
import "./styles/parts.css";
import "./styles/widgets.css";
import { StrictMode, useEffect } from "react";
import { createRoot } from "react-dom/client";
import { Api } from "./api";
import { NetworkDashboard } from "./App";
import { loadCharts } from "./charts/Chart";
import { inBrowser } from "./store";
import { DashboardContext } from "./use";

void loadCharts(); // beside the first questions, not after their answers
const dashboard = inBrowser();
const api = new Api();

function Page() {
  useEffect(() => dashboard.start(), []);
  return (
    <DashboardContext value={dashboard}>
      <NetworkDashboard api={api} />
    </DashboardContext>
  );
}

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <Page />
    </StrictMode>,
  );
}
