// What dash.js leaves of a request, read the way the rest of the player wants it.
// Pure, and free of dash.js itself, so that it can be tried without a browser.

import { FIRST_BYTE_MS_MAX } from "./engine";
import type { Failure } from "./troubles";

export interface SegmentRequest {
  url?: string;
  serviceLocation?: string | null;
  bytesLoaded?: number;
  startDate?: Date | null;
  firstByteDate?: Date | null;
  endDate?: Date | null;
}

export interface PlayerError {
  message?: string;
  code?: number;
  data?: { request?: SegmentRequest; response?: { status?: number } } | null;
}

/** Milliseconds between two moments of one request; `null` unless both are known. */
function between(from: Date | null | undefined, to: Date | null | undefined): number | null {
  return from && to ? to.getTime() - from.getTime() : null;
}

/** dash.js takes the start for the first byte of what came in one piece; then its end is as good. */
export function firstByteMs(request: SegmentRequest): number | null {
  const ms = between(request.startDate, request.firstByteDate);
  return ms === null || ms > 0 ? ms : between(request.startDate, request.endDate);
}

/** dash.js tells a silence from a refusal only by how long it lasted. */
export function failureOf(error: PlayerError): Failure | null {
  const request = error.data?.request;
  const status = error.data?.response?.status;
  if (!request?.url || status === undefined) return null;
  const lasted = between(request.startDate, request.endDate) ?? 0;
  const timedOut = status === 0 && lasted >= FIRST_BYTE_MS_MAX;
  return { appliance: request.serviceLocation ?? null, url: request.url, status, timedOut };
}
