//! Finds the programs under test: the ones built beside the test itself, never one on PATH.

use std::path::{Path, PathBuf};

use crate::trouble::Trouble;

/// A folder that holds the built programs.
#[derive(Clone, Debug)]
pub struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// The programs in `folder`.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }

    /// `NIGHTFILL_BIN_DIR` if set, otherwise the profile folder that this very program was built
    /// into.
    ///
    /// # Errors
    /// When the running program's own path cannot be read.
    pub fn find() -> Result<Self, Trouble> {
        if let Some(folder) = std::env::var_os("NIGHTFILL_BIN_DIR") {
            return Ok(Self { folder: folder.into() });
        }
        let here = std::env::current_exe()?;
        let mut folder = here.parent().unwrap_or(Path::new(".")).to_path_buf();
        if folder.ends_with("deps") {
            folder.pop();
        }
        Ok(Self { folder })
    }

    /// Path of one program.
    ///
    /// # Errors
    /// When it was not built; the text says how to.
    pub fn path(&self, program: &str) -> Result<PathBuf, Trouble> {
        let path = self.folder.join(program);
        if path.is_file() {
            return Ok(path);
        }
        let shown = path.display();
        Err(Trouble(format!(
            "{shown} is not built: run `cargo build --bins` (or `cargo xtask test`)"
        )))
    }
}
