import { useState, type ReactNode } from "react";

export interface Column<Row> {
  name: string;
  /** Right-aligned, with figures of one width. */
  isNumber?: boolean;
  cell: (row: Row) => ReactNode;
  /** What it is sorted by; without it the column cannot be. Unknown comes last. */
  by?: (row: Row) => number | string | null;
}

interface Props<Row> {
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row, at: number) => string | number;
}

/** A table that sorts by its heads. */
export function DataTable<Row>({ caption, columns, rows, rowKey }: Props<Row>) {
  const [sort, setSort] = useState<{ name: string; isUp: boolean } | null>(null);
  const by = columns.find((column) => column.name === sort?.name)?.by;
  const shown = by && sort ? sorted(rows, by, sort.isUp) : rows;
  return (
    // Scrolls when it is too wide or long, so it can be reached with the keyboard.
    <div className="table-box" tabIndex={0} role="region" aria-label={caption}>
      <table>
        <caption className="unseen">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => {
              const isSort = sort?.name === column.name;
              const head = isSort ? (sort.isUp ? "ascending" : "descending") : undefined;
              return (
                <th
                  key={column.name}
                  scope="col"
                  className={column.isNumber ? "number" : ""}
                  aria-sort={head}
                >
                  {column.by ? (
                    <button
                      type="button"
                      onClick={() => {
                        const isUp = isSort ? !sort.isUp : !column.isNumber;
                        setSort({ name: column.name, isUp });
                      }}
                    >
                      {column.name}
                      <span className="sort" aria-hidden="true">
                        {isSort ? (sort.isUp ? "↑" : "↓") : ""}
                      </span>
                    </button>
                  ) : (
                    column.name
                  )}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {shown.map((row, at) => (
            <tr key={rowKey(row, at)}>
              {columns.map((column) => (
                <td key={column.name} className={column.isNumber ? "number" : ""}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function sorted<Row>(
  rows: readonly Row[],
  by: (row: Row) => number | string | null,
  isUp: boolean,
): Row[] {
  const sign = isUp ? 1 : -1;
  return rows.toSorted((a, b) => {
    const [x, y] = [by(a), by(b)];
    if (x === null || y === null) return Number(x === null) - Number(y === null);
    return x < y ? -sign : x > y ? sign : 0;
  });
}
