//! JSON lines, appended to a file and synced one delivery at a time.
//!
//! The file is opened for each delivery, so whoever rotates logs may move it away at any time. A line that a crash cut off
//! is ended first, so that it spoils no other: its delivery comes again, whole, with the same id.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use super::{Format, Outgoing, Receipt, SendError, SendErrorKind, Sink, render_json, settings::FileSettings};

pub(crate) struct FileSink {
    name: String,
    place: String,
    path: PathBuf,
    format: Format,
}

impl FileSink {
    pub(crate) fn new(name: &str, settings: &FileSettings) -> Self {
        Self {
            name: name.to_owned(),
            place: super::text::clean(&settings.path.to_string_lossy(), 300),
            path: settings.path.clone(),
            format: settings.format,
        }
    }
}

#[async_trait::async_trait]
impl Sink for FileSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "file"
    }

    fn place(&self) -> &str {
        &self.place
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<Receipt, SendError> {
        let mut lines = render_json(outgoing, self.format);
        lines.push('\n');
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || append(&path, lines.as_bytes())).await;
        let failed = |detail: String| SendError {
            detail: Some(detail),
            ..SendError::of(&self.name, &self.place, SendErrorKind::Unavailable { retry_after: None })
        };
        match written {
            Ok(Ok(())) => Ok(Receipt { status: None, detail: None }),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

fn append(path: &Path, lines: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let mut whole = if is_cut_off(&mut file)? { vec![b'\n'] } else { Vec::new() };
    whole.extend_from_slice(lines);
    // One write: two workers that append to one file do not mix their lines.
    file.write_all(&whole)?;
    file.sync_data()
}

/// Whether the last line has no end.
fn is_cut_off(file: &mut File) -> std::io::Result<bool> {
    // What is no plain file (a pipe, a device) has no last line to look at.
    if !file.metadata()?.is_file() || file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != [b'\n'])
}
