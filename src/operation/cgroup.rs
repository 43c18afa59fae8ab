//! The memory cgroups of this process: what the kernel counts for each, and the limit at which it kills.
//!
//! A cgroup counts more than the resident memory of its processes: socket buffers, other memory of the kernel, files in
//! tmpfs. It also counts cached pages of files, which the kernel takes back before it kills. So a group uses its
//! memory less the pages on the two lists of file pages. Reclaimable kernel memory stays in the figure: the kernel
//! counts the inodes of open sockets as reclaimable, and cannot take them back.

use super::usage::{Holder, Usage};
use std::fs;
use std::path::Path;

/// Where a version of cgroups keeps its figures.
struct Version {
    /// Root of the hierarchy.
    base: &'static str,
    max: &'static str,
    used: &'static str,
    /// Fields of `memory.stat`: file pages, of the group and those below it.
    file_pages: [&'static str; 2],
}

const V2: Version = Version {
    base: "sys/fs/cgroup",
    max: "memory.max",
    used: "memory.current",
    file_pages: ["inactive_file", "active_file"],
};

/// Version 1 does not count socket buffers against this limit.
const V1: Version = Version {
    base: "sys/fs/cgroup/memory",
    max: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    file_pages: ["total_inactive_file", "total_active_file"],
};

/// Returns the usage of each group with a limit between the process's own and the root of its hierarchy. `root` is `/`,
/// except in tests.
pub(super) fn usages(root: &Path) -> Vec<Usage> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let usages = groups.lines().filter_map(|line| {
        // `hierarchy:controllers:path`; version 2 has no controllers here, cgroups(7).
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let version = match controllers {
            "" => V2,
            "memory" => V1,
            _ => return None,
        };
        let base = root.join(version.base);
        let group = base.join(group);
        let folders = group.ancestors().filter(|folder| folder.starts_with(&base));
        Some(folders.filter_map(|folder| version.usage(folder)).collect::<Vec<_>>())
    });
    usages.flatten().collect()
}

impl Version {
    /// Returns what the group of this folder uses; `None` without a limit.
    fn usage(&self, folder: &Path) -> Option<Usage> {
        let number = |file| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
        let max = number(self.max)?;
        // Unknown is not used: the resident memory of the process is held against the limit too.
        let used = number(self.used).unwrap_or_default();
        let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let fields = stat.lines().filter_map(|line| line.split_once(' '));
        let file_pages = fields.filter(|(name, _)| self.file_pages.contains(name));
        let reclaimable: u64 = file_pages.filter_map(|(_, bytes)| bytes.trim().parse::<u64>().ok()).sum();
        Some(Usage { used: used.saturating_sub(reclaimable), max, holder: Holder::Cgroup })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root folder with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn of(files: &[(&str, &str)]) -> Vec<(u64, u64)> {
        usages(root(files).path()).into_iter().map(|usage| (usage.used, usage.max)).collect()
    }

    /// docs/threats.md, row 30. Socket buffers count, as the kernel counts them; cached files do not, because it takes
    /// them back.
    #[test]
    fn cgroup_uses_its_memory_less_the_pages_of_files() {
        let stat = "anon 9000000\nfile 62000000\nkernel 3000000\nsock 70000000\nshmem 2000000\n\
                    inactive_anon 1\nactive_anon 2\ninactive_file 40000000\nactive_file 20000000\n\
                    slab_reclaimable 500000\n";
        let files = [
            ("proc/self/cgroup", "0::/system.slice/throng.service\n"),
            ("sys/fs/cgroup/system.slice/throng.service/memory.max", "100663296\n"),
            ("sys/fs/cgroup/system.slice/throng.service/memory.current", "144500000\n"),
            ("sys/fs/cgroup/system.slice/throng.service/memory.stat", stat),
        ];
        assert_eq!(of(&files), [(84_500_000, 100_663_296)]);
    }

    /// A limit may be the group's own or that of a group above it, which others use too.
    #[test]
    fn every_group_with_a_limit_is_held_against_it() {
        let own = ("proc/self/cgroup", "0::/pod/hub\n");
        assert_eq!(of(&[own]), []);
        assert_eq!(of(&[own, ("sys/fs/cgroup/pod/hub/memory.max", "max\n")]), []);
        let files = [
            own,
            ("sys/fs/cgroup/memory.max", "max\n"),
            ("sys/fs/cgroup/pod/memory.max", "268435456\n"),
            ("sys/fs/cgroup/pod/memory.current", "1000000\n"),
            ("sys/fs/cgroup/pod/hub/memory.max", "1000\n"),
        ];
        assert_eq!(of(&files), [(0, 1_000), (1_000_000, 268_435_456)]);
    }

    /// In a container the path names a group that it cannot see; what it sees as the root is its own.
    #[test]
    fn version_1_is_read_too_also_in_a_container() {
        let files = [
            ("proc/self/cgroup", "5:memory:/docker/4711\n1:cpu:/old\n0::/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "77000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "70000\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 4000\ntotal_active_file 600\n"),
        ];
        assert_eq!(of(&files), [(65_400, 77_000)]);
    }
}
