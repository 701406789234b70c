import type { ECharts, ECElementEvent } from "echarts/core";
import type { EChartsCoreOption } from "echarts/core";
import { useEffect, useEffectEvent, useRef, useState } from "react";

type Library = typeof import("./echarts");
const FONT = { fontFamily: '"Inter Variable", system-ui, sans-serif' };
let library: Promise<Library> | null = null;

/** Loaded once, beside the page's first questions. */
export function loadCharts(): Promise<Library> {
  library ??= import("./echarts").catch((error: unknown) => {
    library = null; // the server may be back at the next try
    throw error;
  });
  return library;
}

interface Props {
  option: EChartsCoreOption;
  /** What it shows, in a sentence, for those who do not see it. */
  label: string;
  className?: string;
  /** Charts of one group share their crosshair. */
  group?: string;
  /** Called with the x value (or data index) under the pointer. */
  onPoint?: (x: number) => void;
  onItem?: (event: ECElementEvent) => void;
  /** What has to be there before the first drawing, as a map. */
  prepare?: (library: Library) => Promise<void>;
}

/** A canvas that follows its box and its option. */
export function Chart({ option, label, className, group, onPoint, onItem, prepare }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [chart, setChart] = useState<ECharts | null>(null);
  const [tries, setTries] = useState(0);
  const [isMissing, setMissing] = useState(false);
  const point = useEffectEvent((x: number) => onPoint?.(x));
  const item = useEffectEvent((event: ECElementEvent) => onItem?.(event));
  const ready = useEffectEvent(async (found: Library) => prepare?.(found));

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    let made: ECharts | null = null;
    let isGone = false;
    const resize = new ResizeObserver(() => made?.resize());
    const draw = async () => {
      const found = await loadCharts();
      await ready(found);
      if (isGone) return;
      made = found.init(element, null, { renderer: "canvas" });
      if (group) {
        made.group = group;
        found.connect(group);
      }
      const canvas = made.getZr();
      canvas.on("click", (event) => {
        const at: unknown = made?.convertFromPixel({ xAxisIndex: 0, yAxisIndex: 0 }, [
          event.offsetX,
          event.offsetY,
        ]);
        if (Array.isArray(at) && typeof at[0] === "number") point(at[0]);
      });
      made.on("click", (event) => {
        item(event);
      });
      resize.observe(element);
      setChart(made);
    };
    draw().catch(() => {
      if (!isGone) setMissing(true);
    });
    return () => {
      isGone = true;
      resize.disconnect();
      made?.dispose();
      setChart(null);
    };
  }, [group, tries]);

  useEffect(() => {
    if (chart && !chart.isDisposed()) chart.setOption({ textStyle: FONT, ...option }, { notMerge: true });
  }, [chart, option]);

  if (isMissing) {
    return (
      <p className="state" role="alert">
        This chart could not be loaded.
        <button
          type="button"
          className="button"
          onClick={() => {
            setMissing(false);
            setTries(tries + 1);
          }}
        >
          Try again
        </button>
      </p>
    );
  }
  return (
    <div
      ref={box}
      className={`chart ${className ?? ""}`}
      role="img"
      aria-label={label}
      data-ready={chart !== null}
    />
  );
}
