//! Machine code that we made before. It is executed, so each file carries a code that only the holder of the
//! gateway's key can have written: what somebody changed, or put there, is not loaded.

use std::{
    fmt, fs, io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// Length of an authentication code, which stands before the machine code.
const MAC_BYTES: usize = 32;

/// The secret that the cache's files are authenticated with.
#[derive(Clone)]
pub struct CacheKey(pub [u8; 32]);

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheKey(…)")
    }
}

/// Where machine code is kept.
#[derive(Debug, Clone)]
pub struct CacheSettings {
    /// The folder. It is made, for its owner alone, where it is missing.
    pub folder: PathBuf,
    /// What files are authenticated with.
    pub key: CacheKey,
    /// When there is more than this, what was used longest ago goes.
    pub max_bytes: u64,
}

impl CacheSettings {
    /// The code of a component for an engine, if it is there and as it was written.
    pub(super) fn read(&self, digest: &str, compatibility: &str) -> Option<Vec<u8>> {
        let path = self.path(digest, compatibility);
        let file = fs::read(&path).ok()?;
        let Some((mac, code)) = file.split_at_checked(MAC_BYTES) else {
            tracing::warn!(path = %path.display(), "cached code is cut off; it is made again");
            return None;
        };
        if self.mac(digest, compatibility, code).verify_slice(mac).is_err() {
            tracing::warn!(path = %path.display(), "cached code was changed; it is not used and made again");
            return None;
        }
        touch(&path);
        Some(code.to_vec())
    }

    /// Keeps code. A cache that cannot be written costs time at the next start, and nothing else.
    pub(super) fn write(&self, digest: &str, compatibility: &str, code: &[u8]) {
        let path = self.path(digest, compatibility);
        if let Err(error) = self.try_write(&path, digest, compatibility, code) {
            tracing::warn!(path = %path.display(), %error, "machine code could not be kept");
        }
    }

    fn try_write(&self, path: &Path, digest: &str, compatibility: &str, code: &[u8]) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        self.make_room(code.len() as u64)?;
        // Nobody reads half a file: it gets its name when it is whole.
        let unfinished = path.with_extension(format!("{:016x}", rand::random::<u64>()));
        let mac = self.mac(digest, compatibility, code).finalize().into_bytes();
        let written = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut file| {
                io::Write::write_all(&mut file, &mac)?;
                io::Write::write_all(&mut file, code)
            })
            .and_then(|()| fs::rename(&unfinished, path));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    /// Removes what was used longest ago until `more` bytes fit.
    fn make_room(&self, more: u64) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let about = entry.metadata()?;
            files.push((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), about.len(), entry.path()));
        }
        let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
        files.sort();
        for (_, length, path) in files {
            if total.saturating_add(more) <= self.max_bytes {
                break;
            }
            fs::remove_file(path)?;
            total -= length;
        }
        Ok(())
    }

    fn path(&self, digest: &str, compatibility: &str) -> PathBuf {
        let short: String = compatibility.chars().take(16).collect();
        self.folder.join(format!("{digest}-{short}.code"))
    }

    /// Over what it is the code of, too: a file cannot be put in the place of another.
    fn mac(&self, digest: &str, compatibility: &str, code: &[u8]) -> Hmac<Sha256> {
        let CacheKey(key) = &self.key;
        let mut padded = [0; 64]; // HMAC's block, so that no key has a wrong length
        for (to, from) in padded.iter_mut().zip(key) {
            *to = *from;
        }
        let mut mac = Hmac::new((&padded).into());
        for part in [digest.as_bytes(), b"\n", compatibility.as_bytes(), b"\n", code] {
            mac.update(part);
        }
        mac
    }
}

/// Remembers the use, for [`CacheSettings::make_room`].
fn touch(path: &Path) {
    if let Ok(file) = fs::File::open(path) {
        let _ = file.set_modified(SystemTime::now());
    }
}
