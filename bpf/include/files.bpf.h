/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names of files: those of a task's descriptors, and its current directory. */
#ifndef RETSNOOP_FILES_H
#define RETSNOOP_FILES_H

/* Names and mounts on the way from a file to the root. */
#define MAX_STEPS 20

/* Bytes that are read of a name, including its NUL. A longer one is cut. */
#define MAX_FILE_NAME 72

/* Returns the address of the `struct path` of a descriptor of the current task; 0: it has none. */
static __noinline u64 path_of_descriptor(u32 fd)
{
	u64 files = read_word(bpf_get_current_task() + cfg.file.task_files);
	u64 table = read_word(files + cfg.file.files_fdt);
	u64 file;

	if (!table || fd >= read_half(table + cfg.file.fdt_max_fds))
		return 0;
	file = read_word(read_word(table + cfg.file.fdt_fd) + 8ULL * fd);
	return file ? file + cfg.file.file_path : 0;
}

static u64 path_of_current_directory(void)
{
	u64 fs = read_word(bpf_get_current_task() + cfg.file.task_fs);

	return fs ? fs + cfg.file.fs_pwd : 0;
}

/*
 * Reads the names from a `struct path` up to the root directory of the task, or, for what is not
 * below it, of the mount namespace. Nothing is locked: a file that is renamed meanwhile may have
 * names of both places. The number of bytes of `out` that are used goes to `used`, which is in
 * memory also between names: the verifier would walk through the rest of the program for each value
 * that it knows.
 */
static __noinline int read_file(struct area_file *out, volatile s32 *used, u64 path)
{
	u64 dentry = read_word(path + cfg.file.path_dentry);
	u64 mnt = read_word(path + cfg.file.path_mnt);
	u64 root = read_word(mnt + cfg.file.mnt_root);
	u64 inode = read_word(dentry + cfg.file.dentry_inode);
	u64 parent = read_word(dentry + cfg.file.dentry_parent);
	u64 fs_root = read_word(bpf_get_current_task() + cfg.file.task_fs) + cfg.file.fs_root;
	u64 task_dentry = read_word(fs_root + cfg.file.path_dentry);
	u64 task_mnt = read_word(fs_root + cfg.file.path_mnt);
	u64 type = read_word(read_word(inode + cfg.file.inode_sb) + cfg.file.sb_type);
	u32 i;

	if (!dentry)
		return 0;
	*used = offsetof(struct area_file, names);
	out->inode = read_word(inode + cfg.file.inode_ino);
	out->is_cut = 1;
	out->is_deleted = parent != dentry && !read_word(dentry + cfg.file.dentry_pprev);
	out->type[0] = 0;
	bpf_probe_read_kernel_str(out->type, sizeof(out->type),
				  (void *)read_word(type + cfg.file.type_name));
	for (i = 0; i < MAX_STEPS; i++) {
		u64 len = *used;
		s32 n;

		if (dentry == task_dentry && mnt == task_mnt) {
			out->is_cut = 0;
			break;
		}
		if (dentry == root) {
			u64 mount = mnt - cfg.file.mount_mnt;
			u64 above = read_word(mount + cfg.file.mount_parent);

			if (!above || above == mount) {
				out->is_cut = 0;
				break;
			}
			dentry = read_word(mount + cfg.file.mount_mountpoint);
			mnt = above + cfg.file.mount_mnt;
			root = read_word(mnt + cfg.file.mnt_root);
			continue;
		}
		if (len > sizeof(*out) - MAX_FILE_NAME)
			break;
		n = bpf_probe_read_kernel_str((char *)out + len, MAX_FILE_NAME,
					      (void *)read_word(dentry + cfg.file.dentry_name));
		if (n <= 0)
			break;
		*used = len + n;
		parent = read_word(dentry + cfg.file.dentry_parent);
		/* Sockets, pipes, and other files without a directory. */
		if (parent == dentry) {
			out->is_cut = 0;
			break;
		}
		dentry = parent;
	}
	return 0;
}

#endif
