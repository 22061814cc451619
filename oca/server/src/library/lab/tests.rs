//! What a scan of real directories finds, leaves out and hears of. Asks no server.

use super::*;

#[test]
fn only_regular_files_below_the_directory_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::NamedTempFile::new().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::write(dir.path().join("sub/a-b.mp4"), b"abc").unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("out")).unwrap();
    std::os::unix::fs::symlink("/", dir.path().join("root")).unwrap();
    let lab = Lab::new(&[(dir.path().into(), DiskClass::Ssd)]).unwrap();
    let found = lab.find("/sub/a-b.mp4").unwrap();
    assert_eq!((found.bytes, found.media_type), (3, "video/mp4"));
    let outside = ["/out", "/root/etc/passwd", "/sub/../sub/a-b.mp4", "/sub", "sub/a-b.mp4"];
    for path in outside {
        assert_eq!(lab.find(path), None, "{path}");
    }
    fs::write(dir.path().join("sub/a-b.mp4"), b"longer").unwrap();
    lab.rescan().unwrap();
    assert_ne!(lab.find("/sub/a-b.mp4").unwrap().object, found.object, "a new version");
}

fn served(dir: &Path) -> Lab {
    Lab::new(&[(dir.into(), DiskClass::Ssd)]).unwrap()
}

#[test]
fn any_utf8_name_is_found_by_its_escapes_decoded_once() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("zwei Wörter")).unwrap();
    let names = ["plain_(1).mp4", "zwei Wörter/ümläut.mp4", "50%.mp4", "why?.mp4", "%41.mp4"];
    for name in names {
        fs::write(dir.path().join(name), name).unwrap();
    }
    let lab = served(dir.path());
    let check = |path: &str, name: Option<&str>| {
        let found = lab.find(path).and_then(|found| lab.path(&found.object));
        let canonical = dir.path().canonicalize().unwrap();
        assert_eq!(found, name.map(|name| canonical.join(name)), "{path}");
    };
    check("/plain_(1).mp4", Some(names[0]));
    check("/pl%61in_%281%29.mp4", Some(names[0]));
    check("/zwei%20W%C3%B6rter/%c3%bcml%C3%A4ut.mp4", Some(names[1]));
    check("/50%25.mp4", Some(names[2]));
    check("/why%3F.mp4", Some(names[3]));
    check("/%2541.mp4", Some(names[4]));
    // `A.mp4` is not there: what was decoded is not decoded again.
    check("/%41.mp4", None);
    check("/zwei%20W%F6rter/%fcml%E4ut.mp4", None);
    check("/zwei%20W%C3%B6rter", None);
}

#[test]
fn names_that_are_no_text_are_left_out_and_counted() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("good"), b"a").unwrap();
    fs::write(dir.path().join("two\nlines"), b"b").unwrap();
    fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"latin-\xfc")), b"c").unwrap();
    let lab = served(dir.path());
    let unnamed = lab.files.load().unnamed.clone();
    assert_eq!((lab.count(), unnamed.count), (1, 2));
    assert!(!unnamed.example.contains('\n'), "a log line stays one: {unnamed:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_no_failed_disk() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let closed = dir.path().join("closed");
    fs::write(&closed, b"a").unwrap();
    fs::write(dir.path().join("open"), b"b").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read everything, and then it is served.
    let readable = usize::from(fs::File::open(&closed).is_ok());
    let lab = served(dir.path());
    assert_eq!((lab.count(), lab.files.load().unreadable.count), (1 + readable, 1 - readable));
}

#[test]
fn a_folder_that_cannot_be_listed_costs_only_itself() {
    // Deeper than a path may be long: that stops root too, whom rights do not.
    let dir = tempfile::tempdir().unwrap();
    let name = "d".repeat(200);
    let deep = |base: &str| (0..12).fold(dir.path().join(base), |path, _| path.join(&name));
    fs::create_dir_all(deep("a")).unwrap();
    fs::create_dir_all(deep("b")).unwrap();
    fs::write(dir.path().join("a/good"), b"a").unwrap();
    fs::rename(dir.path().join("b"), deep("a").join("b")).unwrap();
    fs::write(dir.path().join("good"), b"b").unwrap();
    let lab = served(dir.path());
    assert_eq!((lab.count(), lab.files.load().unreadable.count), (2, 1));
    assert!(lab.find("/a/good").is_some());
    let absent = dir.path().join("absent");
    assert!(matches!(Lab::new(&[(absent, DiskClass::Ssd)]), Err(LabError::Unreadable { .. })));
}

#[test]
fn a_lab_is_told_of_changes_and_shows_dates_once_they_are_settled() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    let file = dir.path().join("sub/a.mp4");
    fs::write(&file, b"1").unwrap();
    let lab = served(dir.path());
    assert_eq!(lab.changed(), Some(true), "its date is too young");
    let old = SystemTime::now() - Duration::from_secs(SETTLED_AFTER_S + 60);
    fs::File::open(&file).unwrap().set_modified(old).unwrap();
    lab.rescan().unwrap();
    assert!(lab.find("/sub/a.mp4").unwrap().modified.is_some());
    assert_eq!(lab.changed(), Some(true), "the date itself was a change");
    assert_eq!(lab.changed(), Some(false));
    fs::write(dir.path().join("sub/b.mp4"), b"2").unwrap();
    assert_eq!(lab.changed(), Some(true));
}

#[test]
fn several_directories_are_several_disks_and_the_first_has_the_say() {
    let (flash, rotating) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(flash.path().join("both"), b"flash").unwrap();
    fs::write(rotating.path().join("both"), b"rotating").unwrap();
    fs::write(rotating.path().join("cold"), b"cold").unwrap();
    let roots = [(flash.path().into(), DiskClass::Ssd), (rotating.path().into(), DiskClass::Hdd)];
    let lab = Lab::new(&roots).unwrap();
    assert_eq!(lab.find("/both").unwrap().bytes, 5);
    let cold = lab.find("/cold").unwrap();
    assert_eq!((cold.volume, cold.class), (1, DiskClass::Hdd));
    assert_eq!(lab.devices().list().len(), 2);
    assert!(lab.path(&cold.object).unwrap().ends_with("cold"));
}
