//! The check of the signature that the documentation gives to receivers is run on what is really sent.

mod made;

use std::{
    io::Write,
    process::{Command, Stdio},
};

use act::Reason;
use made::{channel, notice, now};
use serde_json::json;
use types::SECOND;

const SECRET: &str = "0123456789abcdef-ü";

#[test]
fn the_documented_check_accepts_ours_and_nothing_else() {
    let Some(documented) = documented() else { return };
    let webhook = channel(json!({"kind": "webhook", "url": "https://example.com/", "secret_env": "KEY"}), SECRET);
    let mut notice = notice(Reason::Opened);
    notice.incident.title = "größer als \"erwartet\" 😀".into();
    let sent = webhook.requests(&notice, now()).remove(0);
    let header = |name: &str| sent.headers.iter().find(|h| h.0 == name).unwrap().1.clone();
    let signature = header("bellwether-signature");
    assert_eq!(header("bellwether-delivery"), "d-1");
    let unix = now().0 / SECOND;
    let mut tampered = sent.body.clone();
    tampered[10] ^= 1;
    let cases: [(&str, &str, &[u8], i64, bool); 7] = [
        (SECRET, &signature, &sent.body, unix, true),
        (SECRET, &signature, &sent.body, unix + 299, true),
        (SECRET, &signature, &sent.body, unix + 301, false),
        (SECRET, &signature, &sent.body, unix - 301, false),
        (SECRET, &signature, &tampered, unix, false),
        ("another secret", &signature, &sent.body, unix, false),
        (SECRET, &signature.replace("v1=", "v0="), &sent.body, unix, false),
    ];
    for (secret, signature, body, at, expected) in cases {
        assert_eq!(check(&documented, secret, signature, body, at), expected, "{secret} {signature} {at}");
    }
}

/// The Python block of the documentation; `None`, said aloud, where there is no Python to run it.
fn documented() -> Option<String> {
    if !Command::new("python3").arg("--version").output().is_ok_and(|o| o.status.success()) {
        let skipped = "SKIPPED: no python3: the documented check was not run";
        // Past the test runner's capture.
        std::io::stderr().write_all(format!("\n{skipped}\n\n").as_bytes()).unwrap();
        return None;
    }
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/notifications.md")).unwrap();
    let block = text.split("```python\n").nth(1).expect("docs/notifications.md has a block of Python");
    Some(block.split("```").next().unwrap_or_default().to_owned())
}

fn check(documented: &str, secret: &str, signature: &str, body: &[u8], at: i64) -> bool {
    let program = format!(
        "{documented}\nimport sys\nprint(is_from_bellwether(sys.argv[1], sys.argv[2], sys.stdin.buffer.read(), int(sys.argv[3])))"
    );
    let mut python = Command::new("python3")
        .args(["-c", &program, secret, signature, &at.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(body).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout.trim_ascii() == b"True"
}
