//! Small real videos, rendered by ffmpeg for one story.
//! Not the demo's two titles: those come from `ingest sources`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;
use crate::trouble::Trouble;

/// Renders `seconds` of moving test picture with a tone into `folder`.
///
/// # Errors
/// When ffmpeg is missing or fails.
pub fn clip(folder: &Path, seconds: u32) -> Result<PathBuf, Trouble> {
    let path = folder.join(format!("clip-{seconds}s.mp4"));
    let picture = format!("testsrc2=size=640x360:rate=24:duration={seconds}");
    let sound = format!("sine=frequency=330:sample_rate=48000:duration={seconds}");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", &picture]);
    ffmpeg.args(["-f", "lavfi", "-i", &sound, "-c:v", "libx264", "-preset", "ultrafast"]);
    ffmpeg.args(["-c:a", "aac", "-shortest", "-pix_fmt", "yuv420p"]).arg(&path);
    process::output("ffmpeg", &mut ffmpeg)?;
    Ok(path)
}
