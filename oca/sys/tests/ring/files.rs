//! Opening and reading.

use std::io::ErrorKind;
use std::path::Path;

use oca_sys::{Access, Event, FileId, Kernel, Op};

use crate::rig::{Rig, pattern_file, small};

const CHUNK: usize = 256 * 1024;

/// Reads a file of `bytes` chunk by chunk and compares.
fn check(dir: &Path, bytes: usize) {
    let (path, content) = pattern_file(dir, bytes);
    let mut rig = Rig::new(small());
    let file = rig.open(&path).expect("it exists");
    for at in (0..bytes).step_by(CHUNK) {
        let read = rig.read(file, at as u64).expect("readable");
        assert!(read == content[at..bytes.min(at + CHUNK)], "{bytes} bytes, at {at}");
    }
    assert_eq!(rig.read(file, bytes.next_multiple_of(CHUNK) as u64).expect("past the end"), []);
    rig.close_file(file);
    rig.assert_all_buffers_home();
}

#[test]
fn whole_chunks_and_unaligned_tails() {
    let dir = tempfile::tempdir().expect("a directory");
    for bytes in [0, 1, 511, 512, 4096, 4097, 8192, CHUNK - 1, CHUNK, CHUNK + 4096, 3 * CHUNK + 77]
    {
        check(dir.path(), bytes);
    }
}

/// Memory file systems differ in whether they take O_DIRECT; either way the bytes are the same.
#[test]
fn a_file_system_without_direct_reads() {
    let shared_memory = Path::new("/dev/shm");
    let Ok(dir) = tempfile::tempdir_in(shared_memory) else { return };
    for bytes in [1, 4096, CHUNK + 9] {
        check(dir.path(), bytes);
    }
}

#[test]
fn buffers_of_other_pools_can_be_read_into() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, content) = pattern_file(dir.path(), 10_000);
    let mut rig = Rig::new(small());
    let file = rig.open(&path).expect("it exists");
    let into = rig.kernel.receive_buffer().expect("a free buffer");
    rig.submit(7, Op::Read { file, at: 4096, into, access: Access::Direct });
    let Event::Read(Ok(4096), buffer) = rig.finish(7) else { panic!("one page") };
    assert_eq!(buffer[..], content[4096..8192]);
    drop(buffer);
    rig.close_file(file);
    rig.assert_all_buffers_home();
}

#[test]
fn what_cannot_be_opened_or_read_is_an_error() {
    let mut rig = Rig::new(small());
    let missing = rig.open(Path::new("/nowhere/at/all")).expect_err("missing");
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let broken = rig.open(Path::new("a\0b")).expect_err("no such name can exist");
    assert_eq!(broken.kind(), ErrorKind::InvalidInput);
    assert!(rig.read(FileId(9), 0).is_err());

    let dir = tempfile::tempdir().expect("a directory");
    let (path, _) = pattern_file(dir.path(), 5000);
    let file = rig.open(&path).expect("it exists");
    assert_eq!(rig.read(file, 1).expect_err("unaligned").kind(), ErrorKind::InvalidInput);
    rig.close_file(file);
    assert!(rig.read(file, 0).is_err(), "closed");
    let folder = rig.open(dir.path()).expect("a directory opens");
    assert!(rig.read(folder, 0).is_err(), "and cannot be read");
    rig.close_file(folder);
    rig.assert_all_buffers_home();
}

#[test]
fn a_link_is_followed_only_by_those_who_want_to() {
    let mut rig = Rig::new(small());
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().canonicalize().expect("it is there");
    let folder = root.join("folder");
    std::fs::create_dir(&folder).expect("a folder");
    let (path, _) = pattern_file(&folder, 5000);
    let name = path.file_name().expect("it has one");
    std::os::unix::fs::symlink(&folder, root.join("link")).expect("a link");
    std::os::unix::fs::symlink(&path, folder.join("other")).expect("a link");
    for (through, is_link) in
        [(path.clone(), false), (root.join("link").join(name), true), (folder.join("other"), true)]
    {
        let file = rig.open_how(&through, true).expect("links are followed");
        rig.close_file(file);
        match rig.open_how(&through, false) {
            Ok(file) => {
                assert!(!is_link, "{} was followed", through.display());
                rig.close_file(file);
            }
            Err(error) => {
                assert!(is_link, "{}: {error}", through.display());
                assert_eq!(error.raw_os_error(), Some(nix::libc::ELOOP));
            }
        }
    }
    rig.assert_all_buffers_home();
}

/// A close submitted while reads are under way waits for them.
#[test]
fn closing_does_not_take_the_file_from_under_a_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, content) = pattern_file(dir.path(), 4 * CHUNK);
    let mut rig = Rig::new(small());
    let file = rig.open(&path).expect("it exists");
    for piece in 0..4 {
        let into = rig.kernel.chunk_buffer().expect("a free chunk");
        rig.submit(
            100 + piece,
            Op::Read { file, at: piece * CHUNK as u64, into, access: Access::Direct },
        );
    }
    rig.submit(99, Op::CloseFile { file });
    for piece in 0..4 {
        let Event::Read(Ok(CHUNK), buffer) = rig.finish(100 + piece) else { panic!("a chunk") };
        let start = piece as usize * CHUNK;
        assert!(buffer[..] == content[start..start + CHUNK]);
    }
    assert!(matches!(rig.finish(99), Event::FileClosed));
    rig.assert_all_buffers_home();
}

/// Reads several buffers at once, wherever the file ends, and compares.
#[test]
fn one_read_fills_several_buffers() {
    let dir = tempfile::tempdir().expect("a directory");
    for bytes in [1, CHUNK, CHUNK + 77, 3 * CHUNK, 4 * CHUNK + 5000] {
        let (path, content) = pattern_file(dir.path(), bytes);
        let mut rig = Rig::new(small());
        let file = rig.open(&path).expect("it exists");
        let chunks = std::iter::repeat_with(|| rig.kernel.chunk_buffer().expect("a free chunk"));
        let into: Vec<_> = chunks.take(4).collect();
        rig.submit(5, Op::ReadMany { file, at: 0, into });
        let Event::ReadMany(Ok(got), buffers) = rig.finish(5) else { panic!("{bytes} bytes") };
        assert_eq!((got, buffers.len()), (bytes.min(4 * CHUNK), 4));
        let read: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect();
        assert!(read[..got] == content[..got], "{bytes} bytes");
        drop(buffers);
        let into = vec![rig.kernel.chunk_buffer().expect("a free chunk")];
        rig.submit(6, Op::ReadMany { file, at: 7, into });
        assert!(matches!(rig.finish(6), Event::ReadMany(Err(_), _)), "unaligned");
        rig.close_file(file);
        rig.assert_all_buffers_home();
    }
}
