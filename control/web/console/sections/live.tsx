// Plays under way, as their players tell it.

import type { Live } from "../../shared/api/types";
import { ago, clock } from "../../shared/ui/format";
import { Panel } from "../panel";
import { Empty, Table, Word } from "./parts";

export function LiveSessions({ live }: { live: Live }) {
  return (
    <Panel title="Live plays">
      {live.sessions.length === 0 ? (
        <Empty>Nobody is watching right now.</Empty>
      ) : (
        <Table
          heads={[
            "Title",
            "State",
            "From",
            "Position",
            "Picture",
            "Buffer",
            "Start-up",
            "Stalled",
            "Heard",
          ]}
        >
          {live.sessions.map((play) => (
            <tr key={play.play}>
              <th scope="row">
                {play.title}
                <small>{play.play.slice(0, 8)}</small>
              </th>
              <td>
                <Word word={play.state} />
              </td>
              <td>{play.appliance ?? "–"}</td>
              <td class="number">{clock(play.position_ms)}</td>
              <td class="number">{play.height ? `${play.height}p` : "–"}</td>
              <td class="number">{(play.buffer_ms / 1000).toFixed(1)} s</td>
              <td class="number">{play.startup_ms === null ? "–" : `${play.startup_ms} ms`}</td>
              <td class="number">{play.stall_ms} ms</td>
              <td class="number">{ago(play.heard_at, Date.now())}</td>
            </tr>
          ))}
        </Table>
      )}
    </Panel>
  );
}
