/** Colours live in the style sheet; charts read them from there. */
import { createContext, useContext, useEffect, useState } from "react";
import type { Theme } from "./address";

const NAMES = [
  "text", "muted", "faint", "line", "surface", "raised",
  "p50", "p95", "p99", "ingress", "egress", "good", "bad", "warn",
  "land", "coast",
  "critical", "high", "medium", "low", "info",
  "leaf-1", "leaf-2", "leaf-3", "leaf-4", "leaf-5", "leaf-6", "leaf-7", "leaf-8",
] as const; // prettier-ignore
export type Colour = (typeof NAMES)[number];
export type Colours = Record<Colour, string> & { isDark: boolean };

const DARK = "(prefers-color-scheme: dark)";

function isDark(theme: Theme): boolean {
  return theme === "auto" ? matchMedia(DARK).matches : theme === "dark";
}

function colours(dark: boolean): Colours {
  const style = getComputedStyle(document.documentElement);
  const found = Object.fromEntries(
    NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
  ) as Record<Colour, string>;
  return { ...found, isDark: dark };
}

function apply(theme: Theme): Colours {
  const dark = isDark(theme);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  return colours(dark);
}

/** Puts the theme on the page and gives its colours. */
export function useTheme(theme: Theme): Colours {
  const [system, setSystem] = useState(0);
  const [made, setMade] = useState<{ key: string; colours: Colours }>(() => ({
    key: `${theme} ${system}`,
    colours: apply(theme),
  }));
  useEffect(() => {
    const query = matchMedia(DARK);
    const changed = () => {
      setSystem((n) => n + 1);
    };
    query.addEventListener("change", changed);
    return () => {
      query.removeEventListener("change", changed);
    };
  }, []);
  const key = `${theme} ${system}`;
  if (made.key !== key) {
    const next = { key, colours: apply(theme) };
    setMade(next);
    return next.colours;
  }
  return made.colours;
}

export const ColoursContext = createContext<Colours | null>(null);

export function useColours(): Colours {
  const found = useContext(ColoursContext);
  if (!found) throw new Error("no theme around this component");
  return found;
}
