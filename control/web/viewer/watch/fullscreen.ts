// Full screen for the whole player, controls included; phones that only allow the video get the video.

interface PhoneVideo extends HTMLVideoElement {
  webkitEnterFullscreen?: () => void;
}

export function toggleFullscreen(frame: HTMLElement | null): void {
  if (!frame) return;
  if (document.fullscreenElement) {
    void document.exitFullscreen();
  } else if (frame.requestFullscreen) {
    // Refused without a gesture or by policy: the picture then simply stays as it is.
    frame.requestFullscreen().catch(() => {});
  } else {
    frame.querySelector<PhoneVideo>("video")?.webkitEnterFullscreen?.();
  }
}
