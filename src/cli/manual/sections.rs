// SPDX-License-Identifier: BSD-2-Clause
//! Sections of the manual page that no description of options has, in roff.

/// From the synopsis to the options.
pub(super) const BEFORE_OPTIONS: &str = r#".SH SYNOPSIS
.B retsnoop\-rs
.RI [ OPTION ]...
.br
.B retsnoop\-rs
.RI [ OPTION ]...
.B \-\-
.IR CMD " [" ARG ]...
.br
.B retsnoop\-rs doctor
.RI [ OPTION ]...
.br
.B retsnoop\-rs list functions
.RI [ OPTION ]... " GLOB" ...
.br
.B retsnoop\-rs list containers
.RI [ OPTION ]...
.br
.B retsnoop\-rs symbolize
.RI [ OPTION ]... " " [ ADDR ]...
.SH DESCRIPTION
.B retsnoop\-rs
attaches BPF programs to many kernel functions at once.
A call of an
.I entry function
(\-e, or of a use case, \-c) opens a
.IR session :
the calls of other traced functions (\-a) by the same task are recorded until the entry function returns.
If it failed, the session is shown: the chain of calls that led to the failure, with results, durations, source lines and inlined functions.
Nothing is shown while nothing fails.
.PP
Tracing starts with the line
.RB \(dq "Receiving data..." \(dq.
It ends with Ctrl\-C, \-\-duration or \-\-max\-events, or when
.I CMD
ends.
.PP
Tracing needs root, or CAP_BPF, CAP_PERFMON and CAP_SYSLOG and read access to tracefs.
Source lines need the debug information of the running kernel.
.B retsnoop\-rs doctor
reports what is missing.
"#;

/// From the output to the files.
pub(super) const AFTER_COMMANDS: &str = r#".SH OUTPUT
Sessions go to stdout, or to the file of \-o; all else goes to stderr.
With a command, stdout is the command\(aqs, and sessions go to stderr.
.PP
A session looks like this (the rows only):
.PP
.EX
   922us [\-EINVAL]  shmem_parse_one+0x5f                 (mm/shmem.c:4319)
                    . fs_parse                           (include/linux/fs_parser.h:75)
   918us [\-EINVAL]  __fs_parse+0xac                      (fs/fs_parser.c:128)
>  897us [\-EINVAL]  fs_param_is_u32                      (fs/fs_parser.c:215, start)
.EE
.SS Header
The first line has the time when the session began and ended, thread and process id, and the names of the thread and of the process.
.RB \(dq "in a softirq" \(dq
or
.RB \(dq "in a hardware interrupt" \(dq
follows if the session did not run in task context.
.PP
A second line has the container and pod, the systemd unit, or the control group of the task, unless it is in the root control group.
If the task has other ids inside its PID namespace, they follow as
.RB \(dq "TID/PID inside" \(dq.
.SS Rows
Callers are above, callees below.
.TP
.IB N "us [" RESULT ]
The function was traced: duration and result of the call.
A row without them is known from the kernel stack only.
.TP
.BI + 0xN
Offset in the function at the time of the failure, at the call of the row below.
.TP
.BI [ MODULE ]
The function is in this module.
.TP
.BI ( FILE : LINE )
Source line of that address.
.TP
.BI ( FILE : LINE ", start)"
Line where the function is defined.
The function had returned already (or had jumped on) when the stack was taken, so the line that it was at is not known.
.TP
.B >
The culprit: the innermost traced call that returned the error which the chain carries up to the entry function.
.TP
.BI ". " NAME
A function that is inlined into the row above.
The line of the innermost one is the line of the address.
.TP
.BI "<\- " ERROR " \-> " ERROR " translated here"
The function got the first error from its callee and returned the second.
.TP
.B "<\- did not return"
The function was called and did not return (do_exit), or its return was not seen.
Instead of duration and result it has
.BR "... [...]" .
.TP
.BI "<\- " N " times in a row"
The same call with the same result, shown once.
.TP
.B ^
The remark of the row above, if the terminal is too narrow for one line.
.TP
.B ~
With \-vv: a frame of the tracing itself.
.SS Below the rows
.TP
.B failed earlier (handled, or the reason):
Failures within the session whose error was not passed on.
Most were handled.
One may still be the reason, if a caller turned it into another error.
Eight are shown, all of them with \-v.
.TP
.B incomplete:
What is known to be missing from the session:
calls too deep to record (\-\-max\-depth),
calls overwritten by later ones or calls after the failure left out (64 finished calls are kept),
calls without a return, returns without a call, kernel stacks missing.
.TP
.B culprit (certain):
Every function of the chain returned the same error as the one below it, nothing that the culprit called failed just before, and nothing untraced that it calls can have made the error.
.TP
.B culprit (probably):
One of these does not hold: a function translated the error, the culprit had handled a failure before, or it calls functions that are not traced.
.TP
.B or an untraced callee:
Functions that the culprit calls directly, that are not traced, and that may have made the error, by their types and the errnos in their machine code.
The likeliest is first.
The options that trace them follow; those marked
.B (cannot be traced)
are built without a place for tracers.
.TP
.BI "its own code does not make " ERROR :
The error came from an untraced callee, from a function that is called through a pointer, or was handed over in an argument or in memory.
.TP
.B reported as:
The result of the entry function, if it is another one than the culprit\(aqs.
.SS What counts as a failure
The return type decides, as the kernel\(aqs BTF has it:
\-1 to \-4095 of signed integers, error pointers, NULL of pointers, blk_status_t and vm_fault_t.
Functions that return void, bool or an unsigned integer never fail.
NULL is weak evidence: a lookup that finds nothing has failed only if its caller returns an error for it.
.SS Summary
The last line accounts for every session that was opened.
With \-\-json it is the last object.
.TP
.B shown, filtered out, succeeded, still open
Sessions that were shown; failing ones that \-x, \-X, \-\-any\-error or \-L left out; those that did not fail; those that had not returned at the end.
.TP
.BI "dropped (" "CAUSE N" )
Sessions that were opened and could not be shown.
.RS
.TP
.B ring full
The ring buffer had no room (\-\-ringbuf\-size).
.TP
.B no slot
Too many sessions were open.
.TP
.B nobody read
Output was not taken for 30 seconds.
.TP
.B task exited
The task exited or called execve before the entry function returned.
.TP
.B return never seen
The return of the entry function was not reported.
.TP
.B undecodable
The records were incomplete or made no sense.
.TP
.B not written
The output failed, or an error ended the run.
.RE
.TP
.B too many to follow, new control groups noticed late
Processes or control groups that were not traced, or not from their beginning.
.TP
.B detached from
Functions that were called too often or cost too much (\-\-max\-rate, \-\-budget).
.SH EXIT STATUS
Without a command:
.TP
.B 0
Done; Ctrl\-C and a closed pipe are no failure.
doctor: tracing works here.
.TP
.B 1
Something failed.
doctor: tracing does not work here.
.TP
.B 2
The command line is wrong.
.PP
With a command behind
.BR \-\- :
.TP
.I N
The exit status of the command.
A failure of retsnoop\-rs while the command runs is reported on stderr and does not change it.
.TP
.BI 128+ N
Signal
.I N
killed the command.
.TP
.B 125
retsnoop\-rs failed before it started the command; the command line may be wrong.
.TP
.B 126
The command was found and could not be executed.
.TP
.B 127
The command was not found, or the interpreter or loader that its file names.
.PP
With \-\-dry\-run, the command is not started, and the exit status is 0 or 125.
.SH ENVIRONMENT
.TP
.B NO_COLOR
If it is set and not empty: no colour, unless \-\-color says otherwise.
.TP
.B HOME, XDG_CONFIG_HOME, XDG_CACHE_HOME
Where ~/.config and ~/.cache are.
They count only if they are absolute, and files below them are used only if no other user can change them.
.TP
.B PATH
Where
.I CMD
is searched.
.TP
.B SUDO_UID, PKEXEC_UID, DOAS_USER
The user of \-\-as\-invoker.
.TP
.B DEBUGINFOD_URLS
Servers that \-\-debuginfod asks, http or https.
Default: those of /etc/debuginfod/*.urls.
.TP
.B DEBUGINFOD_CACHE_PATH
The cache of debuginfod clients.
It is searched for debug information, and \-\-debuginfod keeps files there.
.TP
.B DEBUGINFOD_TIMEOUT
Seconds (90): a server that sends less than 100 KiB in this time is given up.
.TP
.B DEBUGINFOD_MAXTIME
Seconds (1800): the longest time for a file.
.TP
.B DEBUGINFOD_MAXSIZE
Bytes (2 GiB): no larger file is fetched.
.TP
.B DEBUGINFOD_RETRY_LIMIT
How often a broken connection is tried again (2).
.TP
.B HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY
Proxies for \-\-debuginfod.
.SH FILES
.TP
.I ~/.config/retsnoop\-rs/usecases/NAME.toml
A use case of your own, for \-c NAME.
It overrides a built\-in one.
.TP
.I ~/.cache/retsnoop\-rs
Results of earlier runs.
\-\-no\-cache does not use them.
.TP
.I ~/.cache/debuginfod_client
Debug information from debuginfod servers, if DEBUGINFOD_CACHE_PATH names no other directory.
.TP
.I /usr/lib/debug/.build\-id, /usr/lib/debug/boot/vmlinux\-RELEASE, /usr/lib/debug/lib/modules/RELEASE
Debug information of the kernel and its modules.
It is also searched in /lib/modules/RELEASE, /boot and the caches of debuginfod and perf.
.TP
.I /etc/debuginfod/*.urls
Servers for \-\-debuginfod.
.TP
.I /sys/kernel/btf/vmlinux
Types of the running kernel; needed for tracing.
"#;

/// The end.
pub(super) const AFTER_EXAMPLES: &str = r#".SH SEE ALSO
.BR strace (1),
.BR trace\-cmd (1),
.BR errno (3),
.BR bpf (2),
.BR bpftool (8),
.BR bpftrace (8)
.PP
.I docs/manual.md
in the sources has the whole manual, with all limits.
"#;
