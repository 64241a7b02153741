//! `pilehub verify-receipt FILE`: works a receipt out again, offline, from its text alone.

use std::{fmt::Write as _, fs::File, io::Read, path::Path};

use settlement::receipt::{Check, Verdict, verify};

use crate::{
    cli::{Failure, print},
    limits::RECEIPT_BYTES_MAX,
};

/// Prints every check in words; fails when one does, and when the file is no receipt.
pub(crate) fn run(file: &Path) -> Result<(), Failure> {
    let text = read(file)?;
    let checks = verify(&text).map_err(|why| Failure::Failed(anyhow::anyhow!("{}: {why}", file.display())))?;
    print(&told(&checks))?;
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Fails).count();
    match failed {
        0 => Ok(()),
        n => Err(anyhow::anyhow!("the receipt does not hold: {n} of {} checks fail", checks.len()).into()),
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| Failure::Usage(format!("cannot read {}: {error}", file.display()));
    let mut text = String::new();
    let opened = File::open(file).map_err(|error| unreadable(&error))?;
    let length = opened.take(RECEIPT_BYTES_MAX).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
    if u64::try_from(length).is_ok_and(|length| length >= RECEIPT_BYTES_MAX) {
        return Err(unreadable(&format!("a receipt has less than {RECEIPT_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn told(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let verdict = match check.verdict {
            Verdict::Holds => "holds",
            Verdict::Fails => "FAILS",
            Verdict::NotStated => "-",
        };
        // Writing into memory does not fail.
        let _ = writeln!(text, "{verdict:<6}{:<12}{}", check.name, check.words);
    }
    text.push_str(if checks.iter().any(|check| check.verdict == Verdict::Fails) {
        "the receipt does not hold\n"
    } else {
        "the receipt holds; that it is the hub's own shows the same hash in the hub's answer\n"
    });
    text
}
