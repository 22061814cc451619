// The catalog as published: what each title weighs and which rungs it has.

import { operator } from "../../shared/api/operator";
import type { TitleRecord } from "../../shared/api/types";
import { bytes, length } from "../../shared/ui/format";
import { Panel } from "../panel";
import { usePoll } from "../poll";
import { Empty, Table } from "./parts";

function rungs(title: TitleRecord): string {
  const heights = title.renditions.flatMap(({ track }) =>
    track.kind === "video" ? [track.height] : [],
  );
  return [...new Set(heights)].sort((a, b) => a - b).join(", ");
}

export function Titles() {
  const { value: titles, problem } = usePoll(operator.titles);
  return (
    <Panel title="Titles">
      {problem && <p class="notice">{problem}</p>}
      {titles?.length === 0 && <Empty>Nothing published. Use “ingest run”.</Empty>}
      {titles && titles.length > 0 && (
        <Table heads={["Title", "Year", "Genres", "Length", "Rungs", "Renditions", "Size"]}>
          {titles.map((title) => (
            <tr key={title.id}>
              <th scope="row">
                {title.name}
                <small>{title.id}</small>
              </th>
              <td class="number">{title.year}</td>
              <td>{title.genres.join(", ")}</td>
              <td class="number">{length(title.duration_ms)}</td>
              <td class="number">{rungs(title)}</td>
              <td class="number">{title.renditions.length}</td>
              <td class="number">
                {bytes(title.renditions.reduce((sum, each) => sum + each.media_bytes, 0))}
              </td>
            </tr>
          ))}
        </Table>
      )}
    </Panel>
  );
}
