//! What `convo serve --sandbox` prints: commands to paste into another terminal.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use crate::commands::listen::url;
use crate::sandbox::{MAGIC_NUMBERS, OWN_NUMBER, Sandbox};
use crate::store::Location;

/// Prints the banner. It begins with a warning, so that nobody takes this for the real service.
pub(super) fn print(
    out: &mut impl Write,
    address: SocketAddr,
    database: &Location,
    sandbox: &Sandbox,
) {
    let directory = database.path().and_then(Path::parent).unwrap_or(Path::new("."));
    let lines = [
        "*** SANDBOX: Telnyx is simulated, no SMS leaves this machine ***".to_owned(),
        format!("Your number is {OWN_NUMBER}, the simulated Telnyx is {}", sandbox.base_url()),
        String::new(),
        "In another terminal, through this server:".to_owned(),
        format!("    {}", export_path()),
        format!("    export CONVO_SERVER={}", url(address)),
        "    convo send +12125551234 \"Hello\"".to_owned(),
        "    convo show +12125551234".to_owned(),
        String::new(),
        "or directly on its database:".to_owned(),
        format!("    {}", export_path()),
        format!("    cd {}", quoted(directory)),
        "    convo --sandbox send +12125551234 \"Hello\"".to_owned(),
        "    convo --sandbox show +12125551234".to_owned(),
        String::new(),
        "Numbers with special behaviour:".to_owned(),
    ];
    let magic = MAGIC_NUMBERS.iter();
    let magic = magic.map(|magic| format!("    {}  {}", magic.number, magic.does));
    for line in lines.into_iter().chain(magic) {
        // The server runs without standard output, too.
        let _ = writeln!(out, "{line}");
    }
    let _ = out.flush();
}

/// Makes `convo` in another shell run this very program, which may not be installed.
fn export_path() -> String {
    let program = std::env::current_exe().ok();
    let directory = program.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
    format!("export PATH={}:\"$PATH\"", quoted(directory))
}

/// A path, quoted for a shell where necessary.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}
