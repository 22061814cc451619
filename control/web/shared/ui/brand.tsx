// The mark and the name, drawn inline so that no request stands before the first paint.

export function Brand({ suffix }: { suffix?: string }) {
  return (
    <span class="brand">
      <svg viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="9" fill="#161c29" />
        <path d="M21.6 19.9A8.6 8.6 0 0 1 11.3 8.4a8.7 8.7 0 1 0 10.3 11.5Z" fill="#ffbd66" />
        <circle cx="21.4" cy="10.4" r="1.7" fill="#ffbd66" />
      </svg>
      <span>Nightfill{suffix ? <span class="brand-suffix"> {suffix}</span> : null}</span>
    </span>
  );
}
