//! What the tests of this crate share: small clips, rendered once a process, and a volume pair.
//! Holds no assertions about what is tested.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::path::{Path, PathBuf};
use std::process::Command;

use control_types::fleet::DiskClass;
use ingest::{Order, Words};
use oca_store::Volume;

/// Runs ffmpeg with these words; `{to}` among them is where to.
pub fn ffmpeg(words: &str, to: &Path) {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y"])
        .args(words.split_whitespace())
        .arg(to)
        .output()
        .expect("ffmpeg must be installed for these tests: apt-get install ffmpeg");
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A clip of moving patterns with a tone that begins at one second.
pub fn clip(to: &Path, size: &str, seconds: u32) {
    let graph = format!(
        "-f lavfi -i testsrc2=s={size}:r=24:d={seconds} -f lavfi \
         -i aevalsrc=0.5*sin(2*PI*1000*t)*gte(t\\,1):s=48000:d={seconds} \
         -c:v libx264 -preset ultrafast -c:a pcm_s16le -f matroska"
    );
    ffmpeg(&graph, to);
}

/// A short clip of a real film where it is at hand, else patterns of the same size.
pub fn film(dir: &Path) -> PathBuf {
    let shared = std::env::var_os("NIGHTFILL_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let real = shared.join("data/media/bbb_5s_720p.mp4");
    if real.is_file() {
        return real;
    }
    let to = dir.join("patterns.mkv");
    clip(&to, "1280x720", 5);
    to
}

/// An order for `title` made of `video`, with a rotating and a flash volume in `dir`.
pub fn order(dir: &Path, video: &Path, title: &str) -> Order {
    let volumes = [("hdd", DiskClass::Hdd), ("ssd", DiskClass::Ssd)].map(|(name, class)| {
        std::fs::create_dir_all(dir.join(name)).unwrap();
        Volume::open(dir.join(name), class).unwrap()
    });
    let words = Words {
        title: title.parse().unwrap(),
        name: "A Test".to_owned(),
        synopsis: String::new(),
        year: 2026,
        genres: vec!["Drama".to_owned()],
        people: vec![],
        credit: String::new(),
        regions: vec![],
    };
    let (video, work) = (video.to_owned(), dir.join("work"));
    Order { video, words, work, volumes: volumes.to_vec(), control: None }
}
