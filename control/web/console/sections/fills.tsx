// The night so far: how much of the plan each appliance holds, and how far the bytes came.

import type { FillProgress } from "../../shared/api/types";
import { ago, bytes, megabits, percent } from "../../shared/ui/format";
import { Panel } from "../panel";
import { Bar, Empty, Word } from "./parts";

export function Fills({ fills }: { fills: FillProgress[] }) {
  return (
    <Panel title="Fill">
      {fills.length === 0 && <Empty>No agent has reported a fill yet.</Empty>}
      <ul class="fills">
        {fills.map((each) => (
          <Fill key={each.report.appliance} progress={each} />
        ))}
      </ul>
    </Panel>
  );
}

function Fill({ progress: { report, heard_at } }: { progress: FillProgress }) {
  const { peer, tier, origin } = report.bytes_from;
  const taken = peer + tier + origin;
  return (
    <li data-appliance={report.appliance}>
      <div class="fill-head">
        <strong>{report.appliance}</strong>
        <Word word={report.state} />
        <span class="muted">
          {report.objects_done.toLocaleString("en")} of{" "}
          {report.objects_planned.toLocaleString("en")} objects · {bytes(report.bytes_done)} of{" "}
          {bytes(report.bytes_planned)} · {megabits(report.rate_bps)} Mb/s ·{" "}
          {ago(heard_at, Date.now())}
        </span>
        <span class="fill-share">
          {percent(report.bytes_done, report.bytes_planned).toFixed(0)} %
        </span>
      </div>
      <Bar
        part={report.bytes_done}
        whole={report.bytes_planned}
        label={`Fill of ${report.appliance}`}
      />
      <div class="fill-from">
        <span class="muted">this window from</span>
        <From name="peer" count={peer} whole={taken} tone="good" />
        <From name="tier" count={tier} whole={taken} tone="sky" />
        <From name="origin" count={origin} whole={taken} tone="bad" />
      </div>
      {report.failures.length > 0 && (
        <details>
          <summary>{report.failures.length} given up</summary>
          <ul class="failures">
            {report.failures.map((failure) => (
              <li key={failure.object}>
                <code>{failure.object.slice(0, 12)}</code> {failure.why}
              </li>
            ))}
          </ul>
        </details>
      )}
    </li>
  );
}

interface FromProps {
  name: string;
  count: number;
  whole: number;
  tone: "good" | "sky" | "bad";
}

function From({ name, count, whole, tone }: FromProps) {
  return (
    <span class="from">
      <span>
        {name} {bytes(count)}
      </span>
      <Bar part={count} whole={whole} label={`Share from ${name}`} tone={tone} />
    </span>
  );
}
