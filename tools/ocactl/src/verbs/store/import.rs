//! `ocactl store import`: adopts what already lies on this machine. Says of each file what it would
//! do or did; copies only what the file system cannot share.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use control_types::fleet::DiskClass;
use control_types::{ObjectId, TitleId};
use oca_store::seal::SEAL_HEAD_BYTES;
use oca_store::{
    Adopted, MediaType, SealError, StoreError, Volume, Writer, seal_of_file, seal_reader,
};
use serde_json::json;

use crate::failure::Failure;
use crate::quantities::show_bytes;
use crate::shown::Shown;

#[derive(Args)]
pub struct Import {
    /// The volume that takes them. Its fill agent must be stopped.
    #[arg(long, value_name = "FOLDER")]
    volume: PathBuf,
    /// Files, or folders to look through: sealed objects, or plain files. A plain file becomes an
    /// object of --title, or of the title its folder is called after.
    #[arg(required = true)]
    from: Vec<PathBuf>,
    /// Title of plain files.
    #[arg(long)]
    title: Option<TitleId>,
    /// Say what would be done and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Remove each file here once its object is published.
    #[arg(long)]
    remove: bool,
}

/// What one file is.
enum Found {
    Sealed(PathBuf),
    Plain(PathBuf, TitleId),
    Refused(PathBuf, String),
    /// None that was ever meant.
    Skipped(PathBuf, &'static str),
}

impl Found {
    fn path(&self) -> &Path {
        match self {
            Self::Sealed(path) | Self::Plain(path, _) => path,
            Self::Refused(path, _) | Self::Skipped(path, _) => path,
        }
    }
}

/// Whether a file is one of the volume's: its journal is no film, and with --remove the object that
/// is "already here" would be the one that is taken away.
fn lies_in(volume: &Volume, path: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(path).starts_with(real(volume.path()))
}

/// Imports.
///
/// # Errors
/// When the volume is not there or is being written. Files that cannot be imported are in the
/// answer, and make the exit code 1.
pub fn run(import: &Import) -> Result<Shown, Failure> {
    let volume = Volume::open(&import.volume, DiskClass::Hdd)?;
    let mut files = Vec::new();
    for from in &import.from {
        let kind = from.symlink_metadata().map_err(|error| unreadable(from, &error))?.file_type();
        if !kind.is_file() && !kind.is_dir() {
            let shown = from.display();
            let cure = "links are not followed, give what it stands for";
            return Err(Failure(format!("{shown} is neither a file nor a folder: {cure}")));
        }
        list(from, &mut files)?;
    }
    let found = files.into_iter().map(|path| what_is(path, import.title.as_ref()));
    let found: Vec<Found> = found.collect();
    let writer = match import.dry_run {
        true => None,
        false => Some(Writer::open(&volume, "ocactl store import")?),
    };
    let mut rows = Vec::new();
    let mut values = Vec::new();
    let mut refused = 0;
    for one in &found {
        let (path, outcome) = match lies_in(&volume, one.path()) {
            true => (one.path(), Err("it is the volume's own".to_owned())),
            false => import_one(one, writer.as_ref(), import.remove),
        };
        let bytes = path.symlink_metadata().map_or(0, |meta| meta.len());
        refused += usize::from(outcome.is_err());
        let said = outcome.unwrap_or_else(|why| format!("refused: {why}"));
        values.push(json!({ "file": path.display().to_string(), "bytes": bytes, "outcome": said }));
        rows.push(vec![path.display().to_string(), show_bytes(bytes), said]);
    }
    let value = json!({ "files": values, "refused": refused, "dry_run": import.dry_run });
    let mut shown = Shown::table(&value, &["file", "bytes", "outcome"], rows, "no files there");
    shown.exit = u8::from(refused > 0);
    Ok(shown)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure(format!("cannot read {}: {error}", path.display()))
}

/// Every file below `path`, links and such too, which are not followed but told of. Of a volume,
/// its objects only: its journal and lock are no films.
fn list(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let broken = |error| unreadable(path, &error);
    let kind = path.symlink_metadata().map_err(broken)?.file_type();
    if !kind.is_dir() {
        files.push(path.to_owned());
    } else if path.join("journal").is_file() && path.join("objects").is_dir() {
        list(&path.join("objects"), files)?;
    } else {
        let entries: Result<Vec<_>, _> = path.read_dir().map_err(broken)?.collect();
        let mut paths: Vec<PathBuf> =
            entries.map_err(broken)?.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            list(&path, files)?;
        }
    }
    Ok(())
}

fn what_is(path: PathBuf, title: Option<&TitleId>) -> Found {
    // Never opened: a pipe would be waited for, and a link may lead anywhere.
    if !path.symlink_metadata().is_ok_and(|there| there.is_file()) {
        let why = "no file but a link, a pipe or a device: not followed, give what it stands for";
        return Found::Skipped(path, why);
    }
    match seal_of_file(&path) {
        Ok(_) => return Found::Sealed(path),
        // Not begun like one: a plain file, or a short one.
        Err(StoreError::Seal { source: SealError::Magic, .. }) => {}
        Err(StoreError::Seal { source: SealError::Length { got, .. }, .. })
            if got < SEAL_HEAD_BYTES as u64 => {}
        Err(error @ StoreError::Io { .. }) => return Found::Refused(path, error.in_full()),
        Err(error) => {
            let why = format!(
                "{}; it begins like a sealed object and is not a whole one under its own name: \
                 fetch it again, or name it by its 64 digits",
                error.in_full()
            );
            return Found::Refused(path, why);
        }
    }
    if is_called_like_an_object(&path) {
        let why = "it is called like a sealed object and is none, so it was damaged: fetch it \
                   again, or give it another name if it never was one";
        return Found::Refused(path, why.to_owned());
    }
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    match title.cloned().or_else(|| folder.and_then(|name| name.parse().ok())) {
        Some(title) => Found::Plain(path, title),
        None => {
            let why = "not a sealed object, and no title: give --title or put it into a folder \
                       called after its title";
            Found::Refused(path, why.to_owned())
        }
    }
}

fn is_called_like_an_object(path: &Path) -> bool {
    let name = path.file_name().map(std::ffi::OsStr::as_encoded_bytes);
    name.is_some_and(|name| ObjectId::from_hex(name).is_some())
}

fn import_one<'a>(
    one: &'a Found,
    writer: Option<&Writer>,
    remove: bool,
) -> (&'a Path, Result<String, String>) {
    let (path, adopted) = match (one, writer) {
        (Found::Refused(path, why), _) => return (path, Err(why.clone())),
        (Found::Skipped(path, why), _) => return (path, Ok(format!("skipped: {why}"))),
        (Found::Sealed(path), None) => {
            return (path, Ok("would be linked, or copied from another disk".to_owned()));
        }
        (Found::Plain(path, title), None) => {
            return (path, Ok(format!("would be sealed as {title}; blocks shared if possible")));
        }
        (Found::Sealed(path), Some(writer)) => (path, writer.adopt_sealed(path)),
        (Found::Plain(path, title), Some(writer)) => (path, adopt_plain(writer, path, title)),
    };
    let said = match adopted {
        Err(error) => return (path, Err(error.in_full())),
        Ok(Adopted::AlreadyHeld) => "already here".to_owned(),
        Ok(Adopted::Linked) => "linked: do not write to this file any more".to_owned(),
        Ok(Adopted::Shared) => "brought over by the kernel".to_owned(),
        Ok(Adopted::Copied) => "copied".to_owned(),
    };
    if remove && let Err(error) = std::fs::remove_file(path) {
        return (path, Err(format!("{said}, and cannot be removed here: {error}")));
    }
    (path, Ok(said))
}

fn adopt_plain(
    writer: &Writer,
    path: &Path,
    title: &TitleId,
) -> Result<Adopted, oca_store::StoreError> {
    let io = |source| oca_store::StoreError::Io { path: path.into(), doing: "read", source };
    let file = BufReader::with_capacity(1 << 20, File::open(path).map_err(io)?);
    let seal = seal_reader(file, title.clone(), media_type(path)).map_err(io)?;
    writer.adopt_plain(path, seal)
}

fn media_type(path: &Path) -> MediaType {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "mp4" | "m4s" | "cmfv" => MediaType::VideoMp4,
        "m4a" | "cmfa" => MediaType::AudioMp4,
        "m3u8" => MediaType::HlsPlaylist,
        "mpd" => MediaType::DashManifest,
        "vtt" => MediaType::WebVtt,
        "jpg" | "jpeg" => MediaType::Jpeg,
        "json" => MediaType::Json,
        "txt" => MediaType::Text,
        _ => MediaType::Octets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_adopted_once_and_its_mistakes_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let volume = dir.path().join("volume");
        let films = dir.path().join("films");
        std::fs::create_dir(&volume).unwrap();
        std::fs::create_dir_all(films.join("harbour")).unwrap();
        std::fs::create_dir_all(films.join("No Title")).unwrap();
        std::fs::write(films.join("harbour/720p.mp4"), vec![7; 300_000]).unwrap();
        std::fs::write(films.join("No Title/x.bin"), b"x").unwrap();
        let mut import = Import {
            volume: volume.clone(),
            from: vec![films.clone()],
            title: None,
            dry_run: true,
            remove: false,
        };
        let dry = run(&import).unwrap();
        assert_eq!((dry.exit, dry.value["files"].as_array().map(Vec::len)), (1, Some(2)));
        assert!(!volume.join("journal").exists(), "a dry run writes nothing");
        import.dry_run = false;
        let told = run(&import).unwrap();
        assert!(told.text.contains("refused: not a sealed object"), "{}", told.text);
        let again = run(&import).unwrap();
        assert!(again.text.contains("already here"), "{}", again.text);
        // The volume's own files, by a slip of the hand: nothing of them is taken away.
        import.from = vec![dir.path().to_owned()];
        import.title = Some("oops".parse().unwrap());
        import.remove = true;
        let slip = run(&import).unwrap();
        assert!(slip.text.contains("the volume's own"), "{}", slip.text);
        let own = Volume::open(&volume, DiskClass::Hdd).unwrap();
        assert!(volume.join("journal").exists());
        let report = oca_store::check(&own, oca_store::Depth::Payload).unwrap();
        assert!(report.objects > 0 && report.bad.is_empty(), "{report:?}");
        // Its own objects, adopted by another volume: linked, and then taken away here.
        let other = dir.path().join("other");
        std::fs::create_dir(&other).unwrap();
        let objects = volume.join("objects");
        let import = Import {
            volume: other,
            from: vec![objects],
            title: None,
            dry_run: false,
            remove: true,
        };
        let linked = run(&import).unwrap();
        assert_eq!(linked.exit, 0, "{}", linked.text);
        assert!(linked.text.contains("linked"), "{}", linked.text);
    }

    fn into(volume: &Path, from: &Path) -> Import {
        std::fs::create_dir(volume).unwrap();
        let (volume, from) = (volume.to_owned(), vec![from.to_owned()]);
        Import { volume, from, title: None, dry_run: false, remove: false }
    }

    #[test]
    fn of_another_volume_only_whole_objects_are_taken() {
        let dir = tempfile::tempdir().unwrap();
        let film = dir.path().join("film");
        std::fs::create_dir(&film).unwrap();
        for seed in [1, 2] {
            std::fs::write(film.join(format!("{seed}.mp4")), vec![seed; 9_000]).unwrap();
        }
        let first = dir.path().join("first");
        assert_eq!(run(&into(&first, &film)).unwrap().exit, 0);
        let mut objects = Vec::new();
        list(&first, &mut objects).unwrap();
        assert_eq!(objects.len(), 2, "neither journal nor lock: {objects:?}");
        let second = dir.path().join("second");
        assert_eq!(run(&into(&second, &first)).unwrap().exit, 0);
        // A damaged one is no plain file of the title "3f".
        std::fs::remove_file(&objects[0]).unwrap();
        std::fs::write(&objects[0], b"").unwrap();
        let third = run(&into(&dir.path().join("third"), &first)).unwrap();
        assert_eq!(third.exit, 1, "{}", third.text);
        assert!(third.text.contains("it was damaged"), "{}", third.text);
        assert_eq!(third.value["refused"], 1);
    }

    #[test]
    fn a_link_in_a_folder_is_told_of_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let film = dir.path().join("film");
        std::fs::create_dir(&film).unwrap();
        std::fs::write(film.join("1.mp4"), b"one").unwrap();
        std::os::unix::fs::symlink("/dev/zero", film.join("2.mp4")).unwrap();
        let told = run(&into(&dir.path().join("volume"), &film)).unwrap();
        assert_eq!(told.exit, 0, "{}", told.text);
        assert_eq!(told.value["files"].as_array().map(Vec::len), Some(2));
        assert!(told.text.contains("skipped: no file but a link"), "{}", told.text);
    }

    #[test]
    fn a_name_that_is_no_text_and_what_is_no_file() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        let film = dir.path().join("film");
        std::fs::create_dir(&film).unwrap();
        let odd = film.join(std::ffi::OsStr::from_bytes(b"two words\xff.mp4"));
        std::fs::write(&odd, vec![3; 9_000]).unwrap();
        let told = run(&into(&dir.path().join("volume"), &odd)).unwrap();
        assert_eq!((told.exit, told.value["files"][0]["bytes"].as_u64()), (0, Some(9_000)));
        let refused = run(&into(&dir.path().join("other"), Path::new("/dev/zero"))).err().unwrap();
        assert!(refused.0.contains("/dev/zero is neither"), "{refused}");
    }
}
