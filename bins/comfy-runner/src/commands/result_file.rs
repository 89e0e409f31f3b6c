//! The names of result files on this machine.

/// As much of a prompt id as a file name shows.
const PROMPT_ID_SHOWN: usize = 8;

/// Names a file after its workflow and its job, and after its node where the job made several:
/// `text-to-image_7973ab12.png`. The extension is that of the file on ComfyUI.
pub fn name(workflow_id: &str, prompt_id: &str, node_id: Option<&str>, filename: &str) -> String {
    let job: String = prompt_id.chars().take(PROMPT_ID_SHOWN).collect();
    let node = node_id.map(|node| format!("_{}", node.replace(':', "-"))).unwrap_or_default();
    let extension =
        filename.rsplit_once('.').map(|(_, extension)| format!(".{extension}")).unwrap_or_default();
    format!("{workflow_id}_{job}{node}{extension}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_workflow_job_and_node() {
        let id = "7973ab12-6789-4def-8123-456789abcdef";
        assert_eq!(name("text-to-image", id, None, "final_00001_.png"), "text-to-image_7973ab12.png");
        assert_eq!(name("wan", id, Some("12:3"), "final_00001.mp4"), "wan_7973ab12_12-3.mp4");
        assert_eq!(name("wan", "x", None, "noextension"), "wan_x");
    }
}
