//! A real terminal: tmux draws what programs print, and tells what became of its state.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Pid;
use rustix::termios::LocalModes;

use super::poll::wait_or_tell;
use super::{Done, Home, Running, status_field, wait_for, wait_until};

/// What a program may have changed beside the text on its own screen.
const STATE: &str = "title=#{pane_title} alternate=#{alternate_on} mouse=#{mouse_any_flag} \
                     insert=#{insert_flag} region=#{scroll_region_upper}-#{scroll_region_lower} \
                     origin=#{origin_flag} keypad=#{keypad_flag} keys=#{keypad_cursor_flag} \
                     wrap=#{wrap_flag} cursor=#{cursor_flag} bell=#{window_bell_flag} \
                     size=#{pane_width}x#{pane_height} name=#{window_name} panes=#{window_panes}";
/// What stands in the lower pane.
pub const WITNESS: &str = "untouched";
/// What is printed after a program, to see that all of its output was drawn.
const END: &str = "-- drawn --";
/// What is printed before the exit code of a program that is used by hand.
const ENDED: &str = "-- ended: ";

/// A tmux server of its own, with a screen for programs and one below that nobody may touch.
pub struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    /// A screen for programs with so many columns and rows.
    #[track_caller]
    pub fn start(home: &Home, columns: u16, rows: u16) -> Self {
        let tmux = Self { socket: home.file("tmux") };
        let (columns, all) = (columns.to_string(), (rows + 6).to_string());
        // Nothing runs in the panes: what they show was printed by programs on their terminals.
        let idle = "exec sleep 1000";
        let size = ["-x", &columns, "-y", &all];
        tmux.run(
            &[&["-f", "/dev/null", "new-session", "-d", "-n", "ours"], &size[..], &[idle]].concat(),
        );
        // Everything that a text could reach is open to it.
        for (name, value) in [
            ("allow-rename", "on"),
            ("allow-passthrough", "on"),
            ("set-clipboard", "on"),
            ("monitor-bell", "on"),
            ("status", "off"),
        ] {
            tmux.run(&["set-option", "-g", name, value]);
        }
        let witness = format!("printf {WITNESS}; exec sleep 1000");
        tmux.run(&["split-window", "-d", "-t", "0.0", "-l", "5", &witness]);
        wait_until("the lower pane", || tmux.below() == WITNESS);
        tmux
    }

    /// Runs a program to its end with both its outputs on the screen, which is empty before; the
    /// rows that it filled.
    #[track_caller]
    pub fn draw(&self, mut command: Command) -> (i32, Vec<String>) {
        let terminal = self.display("#{pane_tty}");
        let mut terminal = File::options().write(true).open(terminal).expect("the terminal");
        terminal.write_all(b"\x1b[2J\x1b[H").expect("cleared");
        command.stdout(terminal.try_clone().expect("the same terminal"));
        command.stderr(terminal.try_clone().expect("the same terminal"));
        let Done { code, .. } = Running::silent(command).wait();
        writeln!(terminal, "{END}").expect("the end");
        let rows = wait_for("all rows to be drawn", || {
            let rows = self.rows();
            let end = rows.iter().position(|row| row == END)?;
            Some(rows[..end].to_vec())
        });
        (code, rows)
    }

    /// Starts a program that is used by hand: it has the upper pane as its terminal.
    pub fn enter(&self, command: &Command) {
        let mut words = vec!["env".to_owned(), "-i".to_owned(), "TERM=xterm-256color".to_owned()];
        for (name, value) in command.get_envs() {
            let value = value.expect("a value").to_string_lossy();
            words.push(format!("{}={value}", name.to_string_lossy()));
        }
        let program = std::iter::once(command.get_program()).chain(command.get_args());
        words.extend(program.map(|word| word.to_string_lossy().into_owned()));
        let line = shlex::try_join(words.iter().map(String::as_str)).expect("no NUL");
        let directory = command.get_current_dir().expect("a directory").to_string_lossy();
        // The pane stays when the program has ended, and tells its exit code.
        let line = format!("{line}; echo \"{ENDED}$?\"; exec sleep 1000");
        self.run(&["respawn-pane", "-k", "-c", &directory, "-t", "0.0", &line]);
    }

    /// The id of the program that was entered.
    #[track_caller]
    pub fn program(&self) -> Pid {
        let shell = self.display("#{pane_pid}");
        wait_for("the program to run", || {
            let all = std::fs::read_dir("/proc").expect("processes").flatten();
            let mut ids = all.filter_map(|entry| entry.file_name().into_string().ok());
            let id = ids.find(|id| status_field(id, "PPid").as_ref() == Some(&shell))?;
            id.parse().ok().and_then(Pid::from_raw)
        })
    }

    /// Whether the terminal shows what is typed, line by line, as it does for a shell.
    pub fn is_cooked(&self) -> bool {
        let terminal = File::open(self.display("#{pane_tty}")).expect("the terminal");
        let modes = rustix::termios::tcgetattr(&terminal).expect("its modes").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Closes the window of the program that was entered.
    pub fn hang_up(&self) {
        self.run(&["kill-pane", "-t", "0.0"]);
    }

    /// Types a text.
    pub fn type_text(&self, text: &str) {
        self.run(&["send-keys", "-t", "0.0", "-l", "--", text]);
    }

    /// Presses a key, as tmux names it.
    pub fn press(&self, key: &str) {
        self.run(&["send-keys", "-t", "0.0", key]);
    }

    /// Pastes a text, as a terminal does for a program that asks to be told.
    pub fn paste(&self, text: &str) {
        self.run(&["set-buffer", "-b", "pasted", "--", text]);
        self.run(&["paste-buffer", "-p", "-d", "-b", "pasted", "-t", "0.0"]);
    }

    /// Makes the window narrower or wider.
    pub fn resize(&self, columns: u16) {
        self.run(&["resize-window", "-t", "0", "-x", &columns.to_string()]);
    }

    /// Waits until a row of the upper pane meets a condition.
    #[track_caller]
    pub fn wait_for_row(&self, what: &str, condition: impl Fn(&str) -> bool) {
        wait_or_tell(
            || format!("{what} in {:#?}", self.rows()),
            || self.rows().iter().any(|row| condition(row)).then_some(()),
        );
    }

    /// Waits until this is the last row of the upper pane that is not empty.
    #[track_caller]
    pub fn wait_for_last(&self, expected: &str) {
        wait_or_tell(
            || format!("{expected:?} at the end of {:#?}", self.rows()),
            || {
                let rows = self.rows();
                let last = rows.iter().rev().find(|row| !row.is_empty())?;
                (last == expected).then_some(())
            },
        );
    }

    /// The exit code of the program that was entered.
    #[track_caller]
    pub fn wait_for_exit(&self) -> String {
        wait_for("the end of the program", || {
            self.rows().iter().find_map(|row| row.strip_prefix(ENDED).map(str::to_owned))
        })
    }

    /// Prints a text as it is.
    pub fn print(&self, text: &str) {
        let terminal = self.display("#{pane_tty}");
        let mut terminal = File::options().write(true).open(terminal).expect("the terminal");
        terminal.write_all(text.as_bytes()).expect("printed");
    }

    /// The state of the terminal, apart from what is written on it.
    pub fn state(&self) -> String {
        self.display(STATE)
    }

    /// What the lower pane shows.
    pub fn below(&self) -> String {
        self.run(&["capture-pane", "-p", "-t", "0.1"]).trim().to_owned()
    }

    /// What was copied to the clipboard.
    pub fn clipboard(&self) -> String {
        self.run(&["list-buffers"])
    }

    /// What the upper pane shows.
    pub fn rows(&self) -> Vec<String> {
        let shown = self.run(&["capture-pane", "-p", "-t", "0.0"]);
        shown.lines().map(|row| row.trim_end().to_owned()).collect()
    }

    fn display(&self, format: &str) -> String {
        self.run(&["display-message", "-p", "-t", "0.0", format]).trim_end().to_owned()
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.env_remove("TMUX").env("LC_ALL", "C.UTF-8").env("TERM", "xterm-256color");
        // -u: the program itself speaks UTF-8, whatever the locale of this machine.
        command.args(["-u", "-S"]).arg(&self.socket).args(args);
        let output = command.output().expect("tmux is installed; scripts/with-servers does that");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tmux {args:?}: {error}");
        String::from_utf8(output.stdout).expect("tmux speaks UTF-8")
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        let _ = command.env_remove("TMUX").arg("-S").arg(&self.socket).arg("kill-server").output();
    }
}
