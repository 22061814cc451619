// The night at a glance: is everything well, what do members see, what does the ISP save.

import { bytes, megabits, percent } from "../../shared/ui/format";
import { offload, sendingBps, served } from "../figures";
import type { Fleet, Trend } from "../panel";
import { Panel } from "../panel";
import { LiveSessions } from "./live";
import { Bar, Empty, Spark, Word } from "./parts";

export function Overview({ fleet, trend }: { fleet: Fleet; trend: Trend }) {
  const { appliances, live, fills } = fleet;
  const sites = new Set(appliances.map((each) => each.record.site)).size;
  const well = appliances.filter((each) => each.health === "healthy").length;
  const sent = served(appliances, fills);
  const share = offload(sent);
  const planned = fills.reduce((sum, each) => sum + each.report.bytes_planned, 0);
  const done = fills.reduce((sum, each) => sum + each.report.bytes_done, 0);
  const all = sent.edge + sent.tier + sent.origin;
  const roles = [
    ["edge", "Edges", sent.edge, "lamp"],
    ["tier", "Tiers", sent.tier, "sky"],
    ["origin", "Origin", sent.origin, "bad"],
  ] as const;

  return (
    <>
      <div class="tiles">
        <Tile name="Offload" value={share === null ? "–" : `${(share * 100).toFixed(1)} %`}>
          of members’ bytes came from edges
        </Tile>
        <Tile name="Live plays" value={String(live.sessions.length)}>
          {live.plays_total.toLocaleString("en")} since start
        </Tile>
        <Tile name="Start-up" value={`${live.startup_ms_p50} ms`}>
          p95 {live.startup_ms_p95} ms
        </Tile>
        <Tile name="Stalled" value={`${(live.stalled_ratio * 100).toFixed(2)} %`}>
          of the time watched
        </Tile>
        <Tile
          name="Appliances"
          value={`${well} / ${appliances.length}`}
          tone={well < appliances.length ? "warn" : undefined}
        >
          healthy, at {sites} {sites === 1 ? "site" : "sites"}
        </Tile>
      </div>
      <div class="columns">
        <Panel title="Traffic">
          <p class="big">
            {megabits(sendingBps(appliances))} <small>Mb/s</small>
          </p>
          <Spark values={trend.bps} label="Traffic of all appliances, last minutes" />
          <dl class="lines">
            {roles.map(([role, name, count, tone]) => (
              <div key={role}>
                <dt>{name}</dt>
                <dd>{bytes(count)}</dd>
                <Bar part={count} whole={all} label={`Share of ${name}`} tone={tone} />
              </div>
            ))}
          </dl>
          <p class="muted small">To members since the appliances started; fill is taken out.</p>
        </Panel>
        <Panel title="Tonight’s fill">
          {fills.length === 0 ? (
            <Empty>No agent has reported a fill yet.</Empty>
          ) : (
            <>
              <p class="big">
                {percent(done, planned).toFixed(0)} <small>% of {bytes(planned)}</small>
              </p>
              <Bar part={done} whole={planned} label="Fill of the fleet" />
              <ul class="plain">
                {fills.map(({ report }) => (
                  <li key={report.appliance}>
                    <span>{report.appliance}</span>
                    <Word word={report.state} />
                  </li>
                ))}
              </ul>
            </>
          )}
        </Panel>
        <Panel title="Needs a look">
          <Trouble fleet={fleet} />
        </Panel>
      </div>
      {live.sessions.length > 0 && <LiveSessions live={live} />}
    </>
  );
}

function Trouble({ fleet }: { fleet: Fleet }) {
  const unwell = fleet.appliances.filter((each) => each.health !== "healthy");
  const stuck = fleet.fills.filter((each) => each.report.failures.length > 0);
  if (unwell.length + stuck.length === 0) return <Empty>Nothing. Sleep well.</Empty>;
  return (
    <ul class="plain">
      {unwell.map((each) => (
        <li key={each.record.id}>
          <span>{each.record.id}</span>
          <Word word={each.health} />
        </li>
      ))}
      {stuck.map(({ report }) => (
        <li key={`fill-${report.appliance}`}>
          <span>{report.appliance}</span>
          <span class="muted">{report.failures.length} objects given up</span>
        </li>
      ))}
    </ul>
  );
}

interface TileProps {
  name: string;
  value: string;
  tone?: "warn" | undefined;
  children: preact.ComponentChildren;
}

function Tile({ name, value, tone, children }: TileProps) {
  return (
    <section class={`tile${tone ? ` ${tone}` : ""}`} aria-label={name}>
      <h2>{name}</h2>
      <p class="value">{value}</p>
      <p class="muted">{children}</p>
    </section>
  );
}
