// One HTTP call with a deadline, and the one error every page knows how to show.
// Never retries: whether a second try is safe is the caller's to know.

import { sentence } from "../ui/format";
import type { ErrorBody } from "./types";

/** What the server said no with, or `unreachable` when it said nothing. */
export class ApiError extends Error {
  readonly word: string;
  readonly status: number;
  readonly requestId: string;

  constructor(word: string, message: string, status: number, requestId = "") {
    super(message);
    this.name = "ApiError";
    this.word = word;
    this.status = status;
    this.requestId = requestId;
  }
}

export interface Call {
  method?: string;
  body?: unknown;
  bearer?: string | null;
  /** Given up after this long, milliseconds; 15 s unless told. */
  deadlineMs?: number;
  signal?: AbortSignal;
}

/** Answers the JSON body, or `undefined` for 204. Throws `ApiError` only. */
export async function call<T>(path: string, options: Call = {}): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (options.bearer) headers.authorization = `Bearer ${options.bearer}`;
  if (options.body !== undefined) headers["content-type"] = "application/json";
  const deadline = AbortSignal.timeout(options.deadlineMs ?? 15_000);
  const signal = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline;
  let response: Response;
  try {
    response = await fetch(path, {
      method: options.method ?? "GET",
      headers,
      body: options.body === undefined ? null : JSON.stringify(options.body),
      credentials: "same-origin",
      signal,
    });
  } catch (cause) {
    if (options.signal?.aborted) throw new ApiError("aborted", "The question was withdrawn.", 0);
    const late = cause instanceof DOMException && cause.name === "TimeoutError";
    throw new ApiError(
      "unreachable",
      late
        ? "The service took too long to answer. Try again in a moment."
        : "The service cannot be reached. Check your connection and try again.",
      0,
    );
  }
  if (!response.ok) throw await refusal(response);
  if (response.status === 204) return undefined as T;
  try {
    return (await response.json()) as T;
  } catch {
    throw new ApiError("internal", "The service sent an answer we cannot read.", response.status);
  }
}

async function refusal(response: Response): Promise<ApiError> {
  const id = response.headers.get("x-request-id") ?? "";
  try {
    const body = (await response.json()) as ErrorBody;
    return new ApiError(body.error, sentence(body.message), response.status, body.request_id ?? id);
  } catch {
    return new ApiError(
      "internal",
      `The service answered ${response.status}.`,
      response.status,
      id,
    );
  }
}
