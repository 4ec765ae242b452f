//! A terminal of a given size, as far as a program that prints can tell.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Command;
use std::thread::JoinHandle;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::{Done, Home, Running};

/// A program whose standard output is a terminal. Its standard error is not.
pub struct OnTerminal {
    running: Running,
    shown: JoinHandle<String>,
}

impl OnTerminal {
    /// Starts a command on a terminal with so many columns and rows.
    #[track_caller]
    pub fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let (keyboard, screen) = pair(columns, rows);
        command.stdout(screen);
        let running = Running::start_with_output(command);
        Self { running, shown: std::thread::spawn(move || read(keyboard)) }
    }

    /// Starts a command that also reads from the terminal, where these keys have been pressed. Its
    /// standard error is the terminal, too.
    #[track_caller]
    pub fn typed(mut command: Command, columns: u16, rows: u16, keys: &str) -> Self {
        let (mut keyboard, screen) = pair(columns, rows);
        let again = || screen.try_clone().expect("the same terminal again");
        command.stdin(again()).stdout(again()).stderr(again());
        drop(screen);
        keyboard.write_all(keys.as_bytes()).expect("the keys are pressed");
        let running = Running::silent(command);
        Self { running, shown: std::thread::spawn(move || read(keyboard)) }
    }

    /// Waits for the end; the output is what the terminal got.
    #[track_caller]
    pub fn wait(self) -> Done {
        let mut done = self.running.wait();
        done.out = self.shown.join().expect("the terminal was read");
        done
    }

    pub fn running(&self) -> &Running {
        &self.running
    }
}

impl Home {
    /// Runs the program to its end on a terminal of 24 rows.
    #[track_caller]
    pub fn on_terminal<S: AsRef<std::ffi::OsStr>>(&self, columns: u16, args: &[S]) -> Done {
        OnTerminal::start(self.command(args), columns, 24).wait()
    }
}

/// The two ends of a terminal. Nobody becomes its owner: signals stay where they are.
fn pair(columns: u16, rows: u16) -> (File, File) {
    let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&keyboard).expect("granted");
    unlockpt(&keyboard).expect("unlocked");
    let name = ptsname(&keyboard, Vec::new()).expect("its name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let screen = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).expect("its other end");
    let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&screen, size).expect("its size");
    (keyboard.into(), screen.into())
}

/// Everything that is shown until the last program has closed its end.
fn read(mut keyboard: File) -> String {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    // Linux answers EIO where a pipe would end.
    while let Ok(length @ 1..) = keyboard.read(&mut piece) {
        bytes.extend_from_slice(&piece[..length]);
    }
    // The terminal's driver adds the carriage returns.
    String::from_utf8(bytes).expect("the output is UTF-8").replace("\r\n", "\n")
}
