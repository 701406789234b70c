const PATHS = {
  table: "M3 5h18v14H3zM3 10h18M3 14.5h18M9 5v14",
  chart: "M4 4v16h16M8 15l4-5 3 3 5-7",
  empty: "M4 13l3-8h10l3 8v6H4zM4 13h5l1 2h4l1-2h5",
  alert: "M12 3l10 18H2zM12 10v5M12 18v.2",
  close: "M6 6l12 12M18 6L6 18",
  down: "M6 9l6 6 6-6",
  sun: "M12 8a4 4 0 100 8 4 4 0 000-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2",
  moon: "M20 14.5A8.5 8.5 0 019.5 4a8.5 8.5 0 1010.5 10.5z",
  auto: "M12 3a9 9 0 100 18 9 9 0 000-18zM12 3v18M12 7h6M12 11h8.5M12 15h8M12 19h4",
  shield: "M12 3l8 3v6c0 5-3.5 8-8 9-4.5-1-8-4-8-9V6z",
  pulse: "M3 12h4l2.5-6 4 12 3-8 1.5 2H21",
  bars: "M5 20v-6M10 20V9M15 20V4M20 20v-9",
  ok: "M5 12.5l4.5 4.5L19 7.5",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
  arrow: "M4 12h15M13 6l6 6-6 6",
} as const;

export type IconName = keyof typeof PATHS;

/** Drawn beside words, so it says nothing of its own. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
