//! The secret that compiled adaptors are authenticated with: a file of its own in the data folder, readable for
//! its owner alone.

use std::{fs, io, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use super::StoreError;

/// The file inside the data folder: 64 hexadecimal digits.
const FILE: &str = "adaptor-cache.key";

/// The key in `folder`, which is there already; a new one where it has none.
pub fn cache_key(folder: &Path) -> Result<[u8; 32], StoreError> {
    if let Some(key) = existing_cache_key(folder)? {
        return Ok(key);
    }
    let key: [u8; 32] = rand::random();
    match create(&folder.join(FILE), &hex::encode(key)) {
        Ok(()) => Ok(key),
        // Another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            existing_cache_key(folder)?.ok_or_else(|| refuse(folder, "its cache key vanished"))
        }
        Err(error) => Err(refuse(folder, &error.to_string())),
    }
}

/// The key in `folder`, where there is one.
pub fn existing_cache_key(folder: &Path) -> Result<Option<[u8; 32]>, StoreError> {
    let text = match fs::read_to_string(folder.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refuse(folder, &format!("{FILE}: {error}"))),
    };
    let key = hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    key.map(Some).ok_or_else(|| refuse(folder, &format!("{FILE} holds no key; remove it, a new one is made")))
}

/// Under another name until it is whole: a link appears at once, and only where nothing is yet.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension(format!("{:016x}", rand::random::<u64>()));
    let done = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::hard_link(&unfinished, path));
    let _ = fs::remove_file(&unfinished);
    done
}

fn refuse(folder: &Path, why: &str) -> StoreError {
    StoreError::Folder { path: folder.display().to_string(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_a_broken_one_is_told() {
        let folder = std::env::temp_dir().join(format!("airlock-cache-key-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert!(existing_cache_key(&folder).unwrap().is_none());
        let key = cache_key(&folder).unwrap();
        assert_eq!(cache_key(&folder).unwrap(), key);
        fs::write(folder.join(FILE), "short").unwrap();
        assert!(cache_key(&folder).unwrap_err().to_string().contains("holds no key"));
        fs::remove_dir_all(folder).unwrap();
    }
}
