// The fleet, one line a box, with the one verb an operator needs in a hurry: drain.

import { useState } from "preact/hooks";
import { ApiError } from "../../shared/api/http";
import { operator } from "../../shared/api/operator";
import type { ApplianceStatus, VolumeReport } from "../../shared/api/types";
import { ago, bytes, megabits, percent } from "../../shared/ui/format";
import { Panel } from "../panel";
import { Bar, Empty, Table, Word } from "./parts";

interface Props {
  fleet: ApplianceStatus[];
  onChanged: () => void;
}

export function Appliances({ fleet, onChanged }: Props) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState("");

  const turn = async (each: ApplianceStatus) => {
    const { id } = each.record;
    setBusy(id);
    setProblem("");
    try {
      await (each.drain ? operator.undrain(id) : operator.drain(id));
      onChanged();
    } catch (cause) {
      setProblem(`${id}: ${cause instanceof ApiError ? cause.message : String(cause)}`);
    }
    setBusy("");
  };

  const sorted = [...fleet].sort(
    (a, b) => a.record.site.localeCompare(b.record.site) || a.record.id.localeCompare(b.record.id),
  );
  return (
    <Panel title="Appliances">
      {problem && (
        <p class="notice" role="alert">
          {problem}
        </p>
      )}
      {fleet.length === 0 ? (
        <Empty>None registered. Use “ocactl appliance put”.</Empty>
      ) : (
        <Table
          heads={[
            "Appliance",
            "Health",
            "Disks",
            "Objects",
            "Connected",
            "Mb/s",
            "Errors",
            "Heard",
            "",
          ]}
        >
          {sorted.map((each) => (
            <Line
              key={each.record.id}
              each={each}
              busy={busy === each.record.id}
              onTurn={() => turn(each)}
            />
          ))}
        </Table>
      )}
    </Panel>
  );
}

function shareOf({ used_bytes, capacity_bytes }: VolumeReport): string {
  const share = percent(used_bytes, capacity_bytes);
  return share > 0 && share < 1 ? "under 1 %" : `${share.toFixed(0)} %`;
}

interface LineProps {
  each: ApplianceStatus;
  busy: boolean;
  onTurn: () => void;
}

function Line({ each, busy, onTurn }: LineProps) {
  const { record, report } = each;
  return (
    <tr data-appliance={record.id}>
      <th scope="row">
        {record.id}
        <small>
          {record.site} · {record.role} · {record.link.replaceAll("_", " ")}
        </small>
      </th>
      <td>
        <Word word={each.health} />
      </td>
      <td class="disks">
        {report?.volumes.map((volume) => (
          <span key={volume.path} title={volume.path}>
            <Bar
              part={volume.used_bytes}
              whole={volume.capacity_bytes}
              label={`${volume.path} used`}
              tone={volume.healthy ? (volume.class === "ssd" ? "lamp" : "sky") : "bad"}
            />
            <small>
              {volume.class.toUpperCase()} {shareOf(volume)} of {bytes(volume.capacity_bytes)}
              {volume.healthy ? "" : ", failing"}
            </small>
          </span>
        ))}
      </td>
      <td class="number">
        {each.objects.toLocaleString("en")}
        <small>{bytes(each.held_bytes)}</small>
      </td>
      <td class="number">{report && each.health !== "silent" ? report.connections : "–"}</td>
      <td class="number">
        {report && each.health !== "silent" ? megabits(report.sending_bps) : "–"}
        <small>{report ? bytes(report.sent_bytes_total) : ""}</small>
      </td>
      <td class="number">
        {report ? report.errors_total.toLocaleString("en") : "–"}
        <small>{report ? `of ${report.requests_total.toLocaleString("en")}` : ""}</small>
      </td>
      <td class="number">{each.heard_at ? ago(each.heard_at, Date.now()) : "never"}</td>
      <td>
        <button
          type="button"
          class="button small"
          disabled={busy}
          onClick={onTurn}
          aria-label={`${each.drain ? "Undrain" : "Drain"} ${record.id}`}
        >
          {each.drain ? "Undrain" : "Drain"}
        </button>
      </td>
    </tr>
  );
}
