//! Random ids, and names for what nobody named.

const ADJECTIVES: [&str; 24] = [
    "able", "brave", "bright", "calm", "clear", "crisp", "eager", "early", "fair", "fine", "glad", "keen", "kind",
    "light", "merry", "neat", "proud", "quick", "quiet", "rare", "sharp", "sunny", "warm", "wise",
];
const NOUNS: [&str; 24] = [
    "alder", "badger", "birch", "crane", "curlew", "elm", "finch", "hare", "heron", "ibis", "lark", "lynx", "maple",
    "marten", "otter", "plover", "raven", "robin", "rowan", "stork", "swift", "tern", "willow", "wren",
];

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // The system's source does not fail once a process runs; ids of zeros would be refused as taken.
    let _ = getrandom::fill(&mut bytes);
    bytes
}

/// Thirty-two hexadecimal digits.
pub fn hex() -> String {
    random::<16>().iter().map(|b| format!("{b:02x}")).collect()
}

/// Such as `calm-otter-512`.
pub fn run_name() -> String {
    let [a, b, c, d] = random();
    let number = (usize::from(c) << 8 | usize::from(d)) % 1000;
    format!("{}-{}-{number}", ADJECTIVES[usize::from(a) % 24], NOUNS[usize::from(b) % 24])
}
