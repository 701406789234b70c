import { useId, useState, type ReactNode } from "react";
import type { ApiError } from "../api";
import type { Resource } from "../store";
import { Icon } from "./Icon";

interface Props<T> {
  id: string;
  title: string;
  sub?: ReactNode;
  className?: string;
  resource: Resource<T>;
  onRetry: () => void;
  /** Why there is nothing to see, when there is nothing. */
  empty?: (data: T) => string | null;
  /** Shown when no question can be asked. */
  unasked?: string;
  actions?: ReactNode;
  /** The same figures as a table. */
  table?: ((data: T) => ReactNode) | undefined;
  children: (data: T) => ReactNode;
}

/** A widget's frame: title, its data or why there is none, and the table behind the drawing. */
export function Card<T>(props: Props<T>) {
  const { id, title, sub, resource, actions, table, children, empty, className } = props;
  const heading = useId();
  const [isTable, setTable] = useState(false);
  const { data } = resource;
  const nothing = data === null ? null : (empty?.(data) ?? null);
  const state = data !== null ? (nothing ? "empty" : "ready") : resource.error ? "error"
    : resource.key === null ? "unasked" : "loading"; // prettier-ignore
  return (
    <section
      id={id}
      className={`card ${className ?? ""}`}
      aria-labelledby={heading}
      aria-busy={resource.isLoading && (data === null || resource.isOld)}
      data-state={state}
    >
      <header className="card-head">
        <h2 id={heading}>{title}</h2>
        {sub && state === "ready" && <span className="sub">{sub}</span>}
        <div className="actions">
          {actions}
          {table && state === "ready" && (
            <button
              type="button"
              className="icon-button"
              aria-pressed={isTable}
              title={isTable ? "Show the chart" : "Show as a table"}
              aria-label={`${title}: as a table`}
              onClick={() => {
                setTable(!isTable);
              }}
            >
              <Icon name={isTable ? "chart" : "table"} />
            </button>
          )}
        </div>
      </header>
      {data !== null && resource.error && (
        <p className="notice" role="status">
          Not refreshed: {resource.error.message}
        </p>
      )}
      <div className={`card-body ${resource.isOld ? "is-old" : ""}`}>
        {state === "ready" && data !== null && (isTable && table ? table(data) : children(data))}
        {state === "empty" && <Nothing title="No data" why={nothing ?? ""} />}
        {state === "unasked" && (
          <Nothing title="Nothing to show" why={props.unasked ?? "No agent is chosen."} />
        )}
        {state === "error" && resource.error && (
          <Failure error={resource.error} onRetry={props.onRetry} />
        )}
        {state === "loading" && <div className="skeleton" role="status" aria-label="Loading" />}
      </div>
    </section>
  );
}

export function Nothing({ title, why }: { title: string; why: string }) {
  return (
    <div className="state">
      <Icon name="empty" />
      <strong>{title}</strong>
      <p>{why}</p>
    </div>
  );
}

export function Failure({ error, onRetry }: { error: ApiError; onRetry: () => void }) {
  if (error.status === 404 && error.detail === null) {
    return <Nothing title="Not offered" why="This server does not answer this question." />;
  }
  return (
    <div className="state" role="alert">
      <Icon name="alert" />
      <strong>{error.message}</strong>
      {error.detail && <p>{error.detail}</p>}
      <button type="button" className="button" onClick={onRetry}>
        Try again
      </button>
    </div>
  );
}
