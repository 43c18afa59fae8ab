//! The clock of one process, which was told another time: for a program that libfaketime cannot change, as it asks the
//! kernel without the C library.
//!
//! Programs read the time in the vDSO, code that the kernel maps into each of them. A test may write to the memory of
//! a process that it started: the first instructions of its `clock_gettime` become those of [`code`].

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use std::fs::{File, read_dir, read_to_string};
use std::ops::Range;
use std::os::unix::fs::FileExt;

const FUNCTION: &[u8] = b"__vdso_clock_gettime";

/// Type of the section of an ELF file that has the symbols.
const DYNAMIC_SYMBOLS: usize = 11;

/// Sets the clock of a child that has just begun so many seconds wrong. It goes on evenly, and so does the monotonic
/// one.
pub(crate) fn set_clock(pid: u32, seconds: i32) {
    assert_eq!(std::env::consts::ARCH, "x86_64", "the clock of a NATS server cannot be set wrong elsewhere");
    let child = Pid::from_raw(pid.cast_signed()).unwrap();
    let open = File::options().read(true).write(true).open(format!("/proc/{pid}/mem"));
    let memory = open.unwrap_or_else(|error| panic!("the memory of a child cannot be opened: {error}"));
    let code = code(seconds);
    loop {
        kill_process(child, Signal::STOP).unwrap();
        waitid(WaitId::Pid(child), WaitIdOptions::STOPPED).unwrap();
        let vdso = vdso(pid);
        let mut image = vec![0; usize::try_from(vdso.end - vdso.start).unwrap()];
        memory.read_exact_at(&mut image, vdso.start).unwrap();
        let at = vdso.start + u64::try_from(function(&image)).unwrap();
        // A thread that stands in what is replaced would go on in the middle of it.
        let is_free = !runs_in(pid, at..at + code.len() as u64);
        if is_free {
            let written = memory.write_all_at(&code, at);
            written.unwrap_or_else(|error| panic!("the vDSO of a child cannot be written, nor its clock set: {error}"));
        }
        kill_process(child, Signal::CONT).unwrap();
        if is_free {
            return;
        }
    }
}

/// Returns the machine code for x86-64 of `clock_gettime` with a wrong wall clock: the system call, and then the
/// seconds added to what it has written.
fn code(seconds: i32) -> Vec<u8> {
    let mut code = vec![0xb8, 228, 0, 0, 0]; // mov eax, 228: the number of clock_gettime
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0x85, 0xff]); // test edi, edi: 0 is CLOCK_REALTIME
    code.extend([0x75, 7]); // jnz to the return
    code.extend([0x48, 0x81, 0x06]); // add qword [rsi], seconds
    code.extend(seconds.to_le_bytes());
    code.push(0xc3); // ret
    code
}

fn vdso(pid: u32) -> Range<u64> {
    let maps = read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let line = maps.lines().find(|line| line.ends_with("[vdso]")).expect("the kernel maps one");
    let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
    let number = |text| u64::from_str_radix(text, 16).unwrap();
    number(start)..number(end)
}

/// Returns where the function is in the vDSO, which is a small ELF file.
fn function(image: &[u8]) -> usize {
    let number = |at: usize, bytes: usize| {
        let mut word = [0; 8];
        word[..bytes].copy_from_slice(&image[at..at + bytes]);
        usize::try_from(u64::from_le_bytes(word)).unwrap()
    };
    let (headers, count) = (number(40, 8), number(60, 2));
    let header = |section: usize| headers + 64 * section;
    let symbols = (0..count).map(header).find(|header| number(header + 4, 4) == DYNAMIC_SYMBOLS).unwrap();
    let names = number(header(number(symbols + 40, 4)) + 24, 8);
    let (start, bytes) = (number(symbols + 24, 8), number(symbols + 32, 8));
    let mut all = (start..start + bytes).step_by(24);
    let symbol = all.find(|symbol| {
        let name = &image[names + number(*symbol, 4)..];
        name.starts_with(FUNCTION) && name[FUNCTION.len()] == 0
    });
    number(symbol.expect("it has the function") + 8, 8)
}

/// Returns whether a thread of a process that is stopped is at one of these instructions.
fn runs_in(pid: u32, instructions: Range<u64>) -> bool {
    read_dir(format!("/proc/{pid}/task")).unwrap().any(|thread| {
        let text = read_to_string(thread.unwrap().path().join("syscall")).unwrap();
        let at = text.trim().rsplit_once("0x").and_then(|(_, at)| u64::from_str_radix(at, 16).ok());
        // One that has not stopped yet says nothing.
        at.is_none_or(|at| instructions.contains(&at))
    })
}
