//! The machine's id: random, made once, kept beside the credentials. It says nothing about the machine.

use anyhow::{Result, bail};
use uuid::Uuid;

use super::{Places, read_private, write_private};

/// The id of this machine; made on the first call.
pub(crate) fn machine_id(places: &Places) -> Result<String> {
    let path = places.machine_file();
    if let Some(text) = read_private(&path)? {
        let id = text.trim();
        if id.is_empty() {
            bail!("{} is empty; delete it, then pair again", path.display());
        }
        return Ok(id.to_owned());
    }
    let id = Uuid::new_v4().to_string();
    write_private(&path, format!("{id}\n").as_bytes())?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_the_same() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let places = Places::below(folder.path());
        let first = machine_id(&places).expect("makes one");
        assert_eq!(first, machine_id(&places).expect("reads it"));
        assert!(Uuid::parse_str(&first).is_ok());
    }
}
