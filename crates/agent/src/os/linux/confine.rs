//! Confinement of a new process between clone and exec: its namespaces, the files that it sees, and
//! what the kernel lets it do.
//!
//! The parent prepares everything; [`Confinement::apply`] runs in the child, in the parent's memory:
//! system calls only, no allocation, no lock, no panic.

use std::ffi::{CStr, CString, c_int, c_uint, c_void};
use std::mem::size_of;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::ptr;

use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use seccompiler::sock_filter;

/// Number of capabilities that a kernel may know.
const CAPABILITIES: libc::c_ulong = 64;
/// Version of the structures with two words of capabilities.
const CAPABILITY_VERSION: u32 = 0x2008_0522;
/// Flags of seccomp: none.
const NO_FLAGS: c_uint = 0;
/// Rule of Landlock about everything below a path.
const PATH_BENEATH: c_int = 1;
/// Flags of an interface that works: up and running.
const INTERFACE_UP: libc::c_short = 0x41;
/// Connections that may wait for the relay.
const BACKLOG: i32 = 128;

/// Restrictions of a new process.
#[derive(Debug, Default)]
pub(crate) struct Confinement {
    /// User of the process in its own user namespace; `None`: it stays in its parent's namespaces.
    pub(crate) user: Option<UserMap>,
    /// Files that the process sees; `None`: those of its parent.
    pub(crate) view: Option<FileView>,
    /// Network of its own; `None`: its parent's.
    pub(crate) network: Option<OwnNetwork>,
    /// Rights to the files that it sees.
    pub(crate) rights: Option<FileRights>,
    /// Programs for seccomp, in the order in which they are loaded.
    pub(crate) filters: Vec<Vec<sock_filter>>,
}

/// User and group that a process keeps in its own user namespace.
#[derive(Debug)]
pub(crate) struct UserMap {
    /// Line for `uid_map`.
    pub(crate) uid: String,
    /// Line for `gid_map`.
    pub(crate) gid: String,
}

/// Root that is built for a process.
#[derive(Debug)]
pub(crate) struct FileView {
    /// Empty folder on which the root is mounted.
    pub(crate) root: CString,
    /// Steps to build it.
    pub(crate) steps: Vec<ViewStep>,
}

/// Step of the building of a root. Targets are paths below the folder of the new root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ViewStep {
    /// Make a folder, unless it exists.
    Folder(CString),
    /// Make an empty file on which another one is mounted, unless it exists.
    File(CString),
    /// Make a symbolic link, unless it exists.
    Link {
        /// Content of the link.
        to: CString,
        /// Path of the link.
        at: CString,
    },
    /// Show a file, or a folder with everything below.
    Bind {
        /// Path that the parent sees.
        from: CString,
        /// Path below the new root.
        at: CString,
    },
    /// Refuse writes to a mount and to all below it.
    ReadOnly(CString),
    /// Mount an empty folder in memory.
    Empty(CString),
    /// Refuse writes to a mount, and not to those below it.
    Seal(CString),
    /// Mount pseudoterminals of the process's own.
    Terminals(CString),
}

impl ViewStep {
    /// Returns the path that the step is about.
    pub(crate) fn target(&self) -> &CStr {
        match self {
            Self::Folder(at)
            | Self::File(at)
            | Self::Link { at, .. }
            | Self::Bind { at, .. }
            | Self::ReadOnly(at)
            | Self::Empty(at)
            | Self::Seal(at)
            | Self::Terminals(at) => at,
        }
    }
}

/// Network with nothing but a loopback address.
#[derive(Debug)]
pub(crate) struct OwnNetwork {
    /// Port of the loopback address on which the process's relay listens, and the socket to which the
    /// child sends the listener.
    pub(crate) relay: Option<(u16, OwnedFd)>,
}

/// Rights to files, as Landlock enforces them.
#[derive(Debug)]
pub(crate) struct FileRights {
    /// Ruleset without rules.
    pub(crate) ruleset: OwnedFd,
    /// Rights below each path of the process's view.
    pub(crate) rules: Vec<(CString, u64)>,
}

/// Part of a confinement that the kernel refused, and the number of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefusedPart {
    pub(crate) part: ConfinementPart,
    pub(crate) step: usize,
}

/// Part of a confinement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConfinementPart {
    User,
    Loopback,
    Relay,
    Propagation,
    View,
    Root,
    NoNewPrivileges,
    Rights,
    Capabilities,
    Filter,
}

/// Rule of Landlock about everything below a path, as the kernel wants it.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: c_int,
}

type Result<T> = std::result::Result<T, (RefusedPart, Errno)>;

impl Confinement {
    /// Returns the flags of clone for the namespaces that the child starts in.
    pub(crate) fn clone_flags(&self) -> c_int {
        let own = |wanted: bool, flag| if wanted { flag } else { 0 };
        own(self.user.is_some(), libc::CLONE_NEWUSER)
            | own(self.view.is_some(), libc::CLONE_NEWNS)
            | own(self.network.is_some(), libc::CLONE_NEWNET)
    }

    /// Enters the namespaces: before the descriptors of the parent are closed.
    pub(super) fn enter(&self) -> Result<()> {
        if let Some(user) = &self.user {
            user.write().map_err(of(ConfinementPart::User))?;
        }
        if let Some(network) = &self.network {
            loopback_up().map_err(of(ConfinementPart::Loopback))?;
            if let Some((port, to)) = &network.relay {
                listen(*port, to.as_fd()).map_err(of(ConfinementPart::Relay))?;
            }
        }
        if let Some(view) = &self.view {
            view.build()?;
        }
        Ok(())
    }

    /// Gives up all rights that the program must not have: right before it is executed.
    pub(super) fn lock(&self) -> Result<()> {
        rustix::thread::set_no_new_privs(true).map_err(of(ConfinementPart::NoNewPrivileges))?;
        if let Some(rights) = &self.rights {
            rights.enforce()?;
        }
        if self.user.is_some() {
            drop_capabilities().map_err(of(ConfinementPart::Capabilities))?;
        }
        for (step, filter) in self.filters.iter().enumerate() {
            load(filter).map_err(at(ConfinementPart::Filter, step))?;
        }
        Ok(())
    }
}

/// Adds the part to an error.
fn of(part: ConfinementPart) -> impl Fn(Errno) -> (RefusedPart, Errno) {
    at(part, 0)
}

/// Adds the part and its step to an error.
fn at(part: ConfinementPart, step: usize) -> impl Fn(Errno) -> (RefusedPart, Errno) {
    move |errno| (RefusedPart { part, step }, errno)
}

impl UserMap {
    fn write(&self) -> rustix::io::Result<()> {
        // The kernel asks for this before a process without privileges maps its group.
        put(c"/proc/self/setgroups", b"deny")?;
        put(c"/proc/self/uid_map", self.uid.as_bytes())?;
        put(c"/proc/self/gid_map", self.gid.as_bytes())
    }
}

fn put(path: &CStr, text: &[u8]) -> rustix::io::Result<()> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    let written = rustix::io::write(&file, text)?;
    if written == text.len() { Ok(()) } else { Err(Errno::IO) }
}

impl FileView {
    fn build(&self) -> Result<()> {
        let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
        rustix::mount::mount_change(c"/", private).map_err(of(ConfinementPart::Propagation))?;
        for (number, step) in self.steps.iter().enumerate() {
            step.take().map_err(at(ConfinementPart::View, number))?;
        }
        self.enter().map_err(of(ConfinementPart::Root))
    }

    /// Makes the root that was built the only one.
    fn enter(&self) -> rustix::io::Result<()> {
        rustix::process::chdir(self.root.as_c_str())?;
        rustix::process::pivot_root(c".", c".")?;
        // The old root lies on the new one.
        rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
        rustix::process::chdir(c"/")
    }
}

impl ViewStep {
    fn take(&self) -> rustix::io::Result<()> {
        let in_memory = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        match self {
            Self::Folder(at) => unless_exists(rustix::fs::mkdir(at.as_c_str(), Mode::from(0o755))),
            Self::File(at) => unless_exists(rustix::fs::mknodat(
                rustix::fs::CWD,
                at.as_c_str(),
                FileType::RegularFile,
                Mode::from(0o644),
                0,
            )),
            Self::Link { to, at } => {
                unless_exists(rustix::fs::symlink(to.as_c_str(), at.as_c_str()))
            }
            Self::Bind { from, at } => {
                rustix::mount::mount_bind_recursive(from.as_c_str(), at.as_c_str())
            }
            Self::ReadOnly(at) => set_read_only(at, libc::AT_RECURSIVE),
            Self::Empty(at) => rustix::mount::mount(
                c"tmpfs",
                at.as_c_str(),
                c"tmpfs",
                in_memory,
                Some(c"mode=0755,size=1m,nr_inodes=4096"),
            ),
            Self::Seal(at) => set_read_only(at, 0),
            Self::Terminals(at) => rustix::mount::mount(
                c"devpts",
                at.as_c_str(),
                c"devpts",
                MountFlags::NOSUID | MountFlags::NOEXEC,
                Some(c"newinstance,ptmxmode=0666,mode=0620"),
            ),
        }
    }
}

/// Accepts that something is there already; what it is shows the step that needs it.
fn unless_exists(made: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match made {
        Err(Errno::EXIST | Errno::ROFS) => Ok(()),
        other => other,
    }
}

#[expect(unsafe_code, reason = "a system call without a wrapper")]
fn set_read_only(at: &CStr, flags: c_int) -> rustix::io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: path and attributes live, and the size is that of the attributes.
    let refused = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            at.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    outcome(refused)
}

/// Starts the loopback interface of a new network namespace.
#[expect(unsafe_code, reason = "a request of ioctl without a wrapper")]
fn loopback_up() -> rustix::io::Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: zeros are a valid request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(*b"lo") {
        *place = byte.cast_signed();
    }
    request.ifr_ifru.ifru_flags = INTERFACE_UP;
    // SAFETY: the request lives and has the type that this call reads.
    let refused =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    outcome(refused.into())
}

/// Listens on a port of the loopback address, and sends the listener to the parent.
fn listen(port: u16, to: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let listener = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    rustix::net::listen(&listener, BACKLOG)?;
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let sent = [listener.as_fd()];
    if !ancillary.push(SendAncillaryMessage::ScmRights(&sent)) {
        return Err(Errno::NOBUFS);
    }
    let byte = [std::io::IoSlice::new(&[1])];
    rustix::net::sendmsg(to, &byte, &mut ancillary, SendFlags::NOSIGNAL).map(drop)
}

impl FileRights {
    fn enforce(&self) -> Result<()> {
        for (step, (path, allowed)) in self.rules.iter().enumerate() {
            allow(self.ruleset.as_fd(), path, *allowed)
                .map_err(at(ConfinementPart::Rights, step))?;
        }
        restrict(self.ruleset.as_fd()).map_err(at(ConfinementPart::Rights, self.rules.len()))
    }
}

#[expect(unsafe_code, reason = "a system call without a wrapper")]
fn allow(ruleset: BorrowedFd<'_>, path: &CStr, allowed: u64) -> rustix::io::Result<()> {
    let found = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let rule = PathBeneath { allowed, parent: found.as_raw_fd() };
    // SAFETY: the rule lives and has the type that this call reads.
    let refused = unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset.as_raw_fd(),
            PATH_BENEATH,
            &raw const rule,
            0,
        )
    };
    outcome(refused)
}

#[expect(unsafe_code, reason = "a system call without a wrapper")]
fn restrict(ruleset: BorrowedFd<'_>) -> rustix::io::Result<()> {
    // SAFETY: the call has no pointers.
    let refused =
        unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) };
    outcome(refused)
}

/// Gives up all capabilities for good, also those that a program run by root would get.
#[expect(unsafe_code, reason = "system calls for any number of capabilities")]
fn drop_capabilities() -> rustix::io::Result<()> {
    for capability in 0..CAPABILITIES {
        // SAFETY: the call has no pointers.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } < 0 {
            // The first number that this kernel does not know.
            break;
        }
    }
    let header: [u32; 2] = [CAPABILITY_VERSION, 0];
    let none = [0_u32; 6];
    // SAFETY: both arrays live and have the sizes of this version.
    let refused = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    outcome(refused)
}

#[expect(unsafe_code, reason = "a system call without a wrapper")]
fn load(filter: &[sock_filter]) -> rustix::io::Result<()> {
    let program = libc::sock_fprog {
        len: libc::c_ushort::try_from(filter.len()).map_err(|_| Errno::TOOBIG)?,
        filter: filter.as_ptr().cast_mut().cast::<libc::sock_filter>(),
    };
    let program: *const c_void = ptr::from_ref(&program).cast();
    // SAFETY: the program and its instructions live; their layout is the kernel's in both crates.
    let refused = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, NO_FLAGS, program)
    };
    outcome(refused)
}

#[expect(unsafe_code, reason = "errno is a variable of the C library")]
fn outcome(result: libc::c_long) -> rustix::io::Result<()> {
    if result >= 0 {
        return Ok(());
    }
    // SAFETY: always a valid pointer to this thread's variable.
    Err(Errno::from_raw_os_error(unsafe { *libc::__errno_location() }))
}
