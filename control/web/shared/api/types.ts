// The JSON bodies of `control/types`, as the pages see them: field names are the wire names.
// Holds no behaviour, and nothing that the wire does not carry.

export interface ErrorBody {
  error: string;
  message: string;
  request_id: string;
}

export interface Profile {
  id: string;
  name: string;
}

export interface Account {
  id: string;
  email: string;
  profiles: Profile[];
  plan: string;
  created_at: number;
}

export interface Session {
  account: Account;
  access_token: string;
  access_expires_at: number;
}

export interface Plan {
  name: string;
  streams_max: number;
  height_max: number;
  price_cents: number;
  currency: string;
}

export interface TitleCard {
  id: string;
  name: string;
  year: number;
  duration_ms: number;
  genres: string[];
  artwork: string | null;
  /** Absent when never started or finished. */
  position_ms: number | null;
}

export interface TitlePage {
  card: TitleCard;
  synopsis: string;
  people: string[];
  credit: string;
  artwork: string[];
  more_like_this: TitleCard[];
}

export type RowKind =
  | "continue_watching"
  | "because_you_watched"
  | "trending"
  | "top_picks"
  | "new_here"
  | "genre";

export interface Row {
  kind: RowKind;
  heading: string;
  titles: TitleCard[];
}

export interface Home {
  rows: Row[];
}

export interface SearchAnswer {
  query: string;
  titles: TitleCard[];
}

export interface RankedAppliance {
  appliance: string;
  site: string;
  base_url: string;
  reason: string;
}

export interface PlayAnswer {
  play: string;
  hls_url: string;
  dash_url: string;
  steering_url: string;
  ranked: RankedAppliance[];
  ticket: string;
  ticket_expires_at: number;
  /** Absent when there will be no other. */
  ticket_renew_at?: number;
  resume_ms: number;
  duration_ms: number;
  report_ms: number;
}

export interface PlayTicket {
  ticket: string;
  expires_at: number;
  renew_at?: number;
}

export type PlayEventKind =
  | "started"
  | "heartbeat"
  | "stalled"
  | "resumed"
  | "paused"
  | "seeked"
  | "switched"
  | "error"
  | "ended"
  | "stopped";

export interface PlayEvent {
  kind: PlayEventKind;
  position_ms: number;
  since_press_ms: number;
  appliance: string | null;
  height: number;
  buffer_ms: number;
  bytes: number;
  stall_ms: number;
  detail: string;
  /** For `error`: what `appliance` did wrong. */
  trouble?: PlayTrouble;
  /** Longest time to `appliance`'s first byte since the last event. */
  first_byte_ms?: number;
}

export type TroubleKind = "refused" | "timeout" | "not_found" | "failed" | "corrupt";

export interface PlayTrouble {
  kind: TroubleKind;
  object: string | null;
}

export type Role = "edge" | "tier" | "origin";
export type Health = "healthy" | "unheard" | "silent" | "sick" | "draining";
export type DiskClass = "ssd" | "hdd";

export interface Site {
  id: string;
  isp: string;
  name: string;
  latitude: number;
  longitude: number;
  prefixes: string[];
}

export interface VolumeReport {
  path: string;
  class: DiskClass;
  capacity_bytes: number;
  used_bytes: number;
  healthy: boolean;
}

export interface ApplianceReport {
  appliance: string;
  media_url: string;
  draining: boolean;
  connections: number;
  sent_bytes_total: number;
  sending_bps: number;
  requests_total: number;
  errors_total: number;
  volumes: VolumeReport[];
}

export interface ApplianceStatus {
  record: { id: string; site: string; role: Role; link: string; capacity_bps: number };
  health: Health;
  drain: boolean;
  report: ApplianceReport | null;
  heard_at: number | null;
  objects: number;
  held_bytes: number;
}

export type WindowScope = "everyone" | { appliance: string } | { site: string } | { isp: string };

export interface FillWindow {
  id: string;
  scope: WindowScope;
  opens_at: number;
  closes_at: number;
  rate_bps_max: number | null;
  bytes_max: number | null;
  closed: boolean;
}

export interface NewWindow {
  id: string;
  scope: WindowScope;
  opens_at?: number;
  length_ms: number;
  rate_bps_max?: number;
  bytes_max?: number;
}

export type FillStateWord = "waiting" | "filling" | "done" | "stuck";

export interface FillProgress {
  report: {
    appliance: string;
    plan: string | null;
    state: FillStateWord;
    objects_planned: number;
    objects_done: number;
    bytes_planned: number;
    bytes_done: number;
    bytes_from: { peer: number; tier: number; origin: number };
    rate_bps: number;
    failures: { object: string; why: string }[];
  };
  heard_at: number;
}

export interface LiveSession {
  play: string;
  title: string;
  state: string;
  appliance: string | null;
  position_ms: number;
  height: number;
  buffer_ms: number;
  startup_ms: number | null;
  stall_ms: number;
  began_at: number;
  heard_at: number;
}

export interface Live {
  sessions: LiveSession[];
  plays_total: number;
  startup_ms_p50: number;
  startup_ms_p95: number;
  stalled_ratio: number;
}

export interface TitleRecord {
  id: string;
  name: string;
  year: number;
  genres: string[];
  duration_ms: number;
  artwork: { object: string }[];
  renditions: {
    media_bytes: number;
    peak_bps: number;
    codecs: string;
    track: { kind: "video"; width: number; height: number } | { kind: "audio"; language: string };
  }[];
}
