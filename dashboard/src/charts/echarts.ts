/** The parts of ECharts that are used, and nothing else: this file is the heaviest of the page. */
import { BarChart, GraphChart, LineChart, LinesChart, PieChart, ScatterChart } from "echarts/charts";
import {
  GeoComponent,
  GridComponent,
  MarkAreaComponent,
  MarkLineComponent,
  TooltipComponent,
} from "echarts/components";
import { connect, init, registerMap, use as add } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

add([
  BarChart, GraphChart, LineChart, LinesChart, PieChart, ScatterChart,
  GeoComponent, GridComponent, MarkAreaComponent, MarkLineComponent, TooltipComponent,
  CanvasRenderer,
]); // prettier-ignore

export { connect, init, registerMap };
