// What every section is given and made of. Knows no section and no frame.

import type { ComponentChildren } from "preact";
import type { ApplianceStatus, FillProgress, Live } from "../shared/api/types";

export interface Fleet {
  appliances: ApplianceStatus[];
  live: Live;
  fills: FillProgress[];
}

export interface Trend {
  bps: number[];
  plays: number[];
}

/** A titled box; every section is made of these. */
export function Panel({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="panel" aria-label={title}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}
