//! The client id that belongs to a job: what a caller shows to our WebSocket.

use uuid::Uuid;

/// The client id of a job: its prompt id without hyphens. So nothing has to be kept to find the one by the other, not
/// even over a restart. A prompt id that is no UUID (no ComfyUI makes such) is its own client id.
pub fn client_id_of(prompt_id: &str) -> String {
    match Uuid::try_parse(prompt_id) {
        Ok(id) if id.hyphenated().to_string() == prompt_id => id.simple().to_string(),
        _ => prompt_id.to_owned(),
    }
}

/// The prompt id of the job that has this client id.
pub fn prompt_id_of(client_id: &str) -> String {
    match Uuid::try_parse(client_id) {
        Ok(id) if id.simple().to_string() == client_id => id.hyphenated().to_string(),
        _ => client_id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_is_found_by_the_other() {
        for prompt_id in ["0a1b2c3d-0000-4000-8000-00000000000f", "no-uuid", ""] {
            assert_eq!(prompt_id_of(&client_id_of(prompt_id)), prompt_id);
        }
        let client_id = client_id_of("0a1b2c3d-0000-4000-8000-00000000000f");
        assert_eq!(client_id, "0a1b2c3d00004000800000000000000f");
    }
}
