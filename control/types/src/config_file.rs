//! Reads a file that an operator named: a configuration, a key, a list of samples. Only regular
//! files, and no more of one than its bound: a device would be read for ever, and a pipe waited
//! for. The one place of this crate that touches a disk, because every program reads such files.

use std::fs::{File, FileType};
use std::io::{Error, ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::limits::CONFIG_BYTES_MAX;

/// The bytes of the file at `path`, at most [`CONFIG_BYTES_MAX`].
///
/// # Errors
/// As [`read_at_most`].
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    read_at_most(path, CONFIG_BYTES_MAX)
}

/// The text of the file at `path`, at most [`CONFIG_BYTES_MAX`].
///
/// # Errors
/// As [`read_at_most`]; `InvalidData` when it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, Error> {
    text(read(path)?)
}

/// The text of the file at `path`, at most `bytes_max`.
///
/// # Errors
/// As [`read_at_most`]; `InvalidData` when it is not UTF-8.
pub fn read_text_at_most(path: &Path, bytes_max: u64) -> Result<String, Error> {
    text(read_at_most(path, bytes_max)?)
}

/// The bytes of the file at `path`, at most `bytes_max`.
///
/// # Errors
/// `InvalidInput` when it is no regular file, `FileTooLarge` when it is larger, and whatever keeps
/// it from being read. Messages do not name the file; callers do.
pub fn read_at_most(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let why = format!("larger than {bytes_max} bytes: is this the right file?");
        return Err(Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

/// The regular file at `path`, open to be read.
///
/// # Errors
/// `InvalidInput` when it is no regular file, and whatever keeps it from being opened.
pub fn open(path: &Path) -> Result<File, Error> {
    // Asked first: to open a pipe waits for whoever writes to it.
    check_regular(std::fs::metadata(path)?.file_type())?;
    let file = File::open(path)?;
    check_regular(file.metadata()?.file_type())?;
    Ok(file)
}

fn text(bytes: Vec<u8>) -> Result<String, Error> {
    let wrong = |_| Error::new(ErrorKind::InvalidData, "not UTF-8 text: is this the right file?");
    String::from_utf8(bytes).map_err(wrong)
}

fn check_regular(kind: FileType) -> Result<(), Error> {
    let is = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(Error::new(ErrorKind::InvalidInput, format!("{is} and no regular file: name a file")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_directories_are_refused_and_files_are_bounded() {
        for (path, is) in [("/dev/zero", "a device"), ("/", "a directory")] {
            let error = read(Path::new(path)).unwrap_err();
            assert!(error.to_string().starts_with(is), "{path}: {error}");
        }
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let whole = read_text(&own).unwrap();
        let bytes = whole.len() as u64;
        assert_eq!(read_text_at_most(&own, bytes).unwrap(), whole);
        let error = read_at_most(&own, bytes - 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge, "{error}");
        assert_eq!(read(Path::new("/no/such")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
