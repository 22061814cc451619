// The ISPs' places, and the member networks each one serves.

import { operator } from "../../shared/api/operator";
import type { ApplianceStatus } from "../../shared/api/types";
import { megabits } from "../../shared/ui/format";
import { sendingBps } from "../figures";
import { Panel } from "../panel";
import { usePoll } from "../poll";
import { Empty, Table, Word } from "./parts";

export function Sites({ fleet }: { fleet: ApplianceStatus[] }) {
  const { value: sites, problem } = usePoll(operator.sites);
  return (
    <Panel title="Sites">
      {problem && <p class="notice">{problem}</p>}
      {sites?.length === 0 && <Empty>None registered. Use “ocactl site put”.</Empty>}
      {sites && sites.length > 0 && (
        <Table heads={["Site", "ISP", "Serves", "Where", "Appliances", "Mb/s"]}>
          {sites.map((site) => {
            const here = fleet.filter((each) => each.record.site === site.id);
            return (
              <tr key={site.id}>
                <th scope="row">
                  {site.name}
                  <small>{site.id}</small>
                </th>
                <td>{site.isp}</td>
                <td class="prefixes">
                  {site.prefixes.length === 0 ? "everyone else" : site.prefixes.join(", ")}
                </td>
                <td class="number">
                  {site.latitude.toFixed(2)}, {site.longitude.toFixed(2)}
                </td>
                <td>
                  {here.map((each) => (
                    <span key={each.record.id} class="inline-word" title={each.record.id}>
                      <Word word={each.health} />
                    </span>
                  ))}
                  {here.length === 0 && "none"}
                </td>
                <td class="number">{megabits(sendingBps(here))}</td>
              </tr>
            );
          })}
        </Table>
      )}
    </Panel>
  );
}
