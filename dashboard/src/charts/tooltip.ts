/** What a chart says under the pointer: elements with text, never markup. */
import type { TooltipComponentOption } from "echarts/components";

export interface Line {
  label: string;
  value: string;
  color?: string;
}

export function tip(title: string, lines: readonly Line[], note?: string): HTMLElement {
  const made = element("div", "tip");
  made.append(element("div", "tip-title", title));
  for (const line of lines) {
    const row = element("div", "tip-row");
    const swatch = element("i", "swatch");
    if (line.color) swatch.style.background = line.color;
    else swatch.classList.add("none");
    row.append(swatch, element("span", "tip-label", line.label), element("b", "", line.value));
    made.append(row);
  }
  if (note) made.append(element("div", "tip-note", note));
  return made;
}

function element(name: string, className: string, text?: string): HTMLElement {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** The box is styled by our style sheet. */
export const TOOLTIP: TooltipComponentOption = {
  confine: true,
  backgroundColor: "transparent",
  borderWidth: 0,
  padding: 0,
  transitionDuration: 0,
  shadowColor: "transparent",
  extraCssText: "box-shadow:none",
};
