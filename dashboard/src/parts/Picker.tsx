import { useEffect, useId, useRef, useState, type KeyboardEvent } from "react";
import type { Agent } from "../api";
import { clean } from "../format";
import { Icon } from "./Icon";

interface Props {
  agents: readonly Agent[];
  chosen: Agent | null;
  onChoose: (agent: Agent) => void;
}

const MOST = 200; // shown at once; the filter finds the others

export function nameOf(agent: Agent): string {
  return agent.hostname ? clean(agent.hostname, 60) : `agent ${agent.agent_id.slice(0, 8)}`;
}

/** A combobox over agents that filters as one types (ARIA's list pattern). */
export function AgentPicker({ agents, chosen, onChoose }: Props) {
  const [isOpen, setOpen] = useState(false);
  const [filter, setFilter] = useState("");
  const [at, setAt] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLUListElement>(null);
  const id = useId();
  const wanted = filter.trim().toLowerCase();
  const found = agents
    .filter((one) =>
      [one.hostname, one.agent_id, one.region, one.network_id].some((text) =>
        text?.toLowerCase().includes(wanted),
      ),
    )
    .slice(0, MOST);

  useEffect(() => {
    if (!isOpen) return;
    const away = (event: PointerEvent) => {
      if (!box.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", away);
    return () => {
      document.removeEventListener("pointerdown", away);
    };
  }, [isOpen]);

  useEffect(() => {
    list.current?.children[at]?.scrollIntoView({ block: "nearest" });
  }, [at, isOpen]);

  const open = () => {
    setFilter("");
    setAt(Math.max(0, agents.findIndex((one) => one.agent_id === chosen?.agent_id)));
    setOpen(true);
  };
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  const choose = (agent: Agent | undefined) => {
    if (agent) onChoose(agent);
    close();
  };
  const pressed = (event: KeyboardEvent) => {
    const moves: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
    const move = moves[event.key];
    if (move !== undefined) setAt(Math.min(Math.max(at + move, 0), found.length - 1));
    else if (event.key === "Enter") choose(found[at]);
    else if (event.key === "Escape") close();
    else if (event.key === "Tab") setOpen(false);
    if (move !== undefined || event.key === "Enter" || event.key === "Escape") event.preventDefault();
  };
  return (
    <div className="picker" ref={box}>
      <button
        ref={button}
        type="button"
        className="picker-button"
        aria-haspopup="listbox"
        aria-expanded={isOpen}
        onClick={() => {
          if (isOpen) setOpen(false);
          else open();
        }}
      >
        <span className="unseen">Agent: </span>
        {chosen && <i className="light" data-live={chosen.live} />}
        <bdi>{chosen ? nameOf(chosen) : "No agent"}</bdi>
        <Icon name="down" />
      </button>
      {isOpen && (
        <div className="popover">
          <input
            autoFocus
            type="search"
            role="combobox"
            aria-label="Find an agent"
            aria-expanded="true"
            aria-controls={id}
            aria-activedescendant={found[at] ? `${id}-${at}` : undefined}
            placeholder={`Find among ${agents.length} agents`}
            value={filter}
            onChange={(event) => {
              setFilter(event.target.value);
              setAt(0);
            }}
            onKeyDown={pressed}
          />
          <ul role="listbox" id={id} aria-label="Agents" ref={list}>
            {found.map((one, index) => (
              <li
                key={one.agent_id}
                id={`${id}-${index}`}
                role="option"
                aria-selected={one.agent_id === chosen?.agent_id}
                data-at={index === at}
                onPointerDown={(event) => {
                  event.preventDefault();
                  choose(one);
                }}
              >
                <i className="light" data-live={one.live} />
                <bdi>{nameOf(one)}</bdi>
                <span className="muted">
                  {clean(one.region ?? "", 20)} {one.live ? "live" : clean(one.source, 20)}
                </span>
              </li>
            ))}
            {found.length === 0 && <li className="muted">No agent is named so.</li>}
          </ul>
        </div>
      )}
    </div>
  );
}
