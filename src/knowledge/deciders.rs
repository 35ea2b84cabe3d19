// SPDX-License-Identifier: BSD-2-Clause
//! Functions that often decide why a system call fails. Where functions are attached one by one, the
//! program chooses these at first: each takes milliseconds to attach to.
//!
//! They are chosen by what they do: they check an argument, a permission or a limit, or look something
//! up. A kernel has those that it has; some have other names in other versions.

/// Names without what the compiler puts behind (`.isra.0`), by subject.
pub(crate) const COMMON_DECIDERS: &[(&str, &str)] = &[
    (
        "paths",
        "step_into link_path_walk path_openat path_lookupat filename_lookup filename_create getname_flags \
         simple_lookup lookup_one_qstr_excl proc_lookup_de",
    ),
    (
        "permissions",
        "generic_permission inode_permission may_open may_delete may_linkat may_create_in_sticky \
         setattr_prepare notify_change sysctl_perm mnt_want_write path_noexec",
    ),
    (
        "files",
        "do_dentry_open vfs_tmpfile vfs_unlink vfs_rmdir vfs_rename vfs_link vfs_mknod do_mknodat \
         do_linkat simple_rmdir shmem_rmdir shmem_rename2 xattr_resolve_name xattr_permission \
         simple_xattr_get fileattr_set_prepare vfs_fileattr_set do_sys_ftruncate vfs_fallocate \
         generic_write_checks generic_perform_write generic_read_dir write_full vfs_read vfs_write \
         ksys_read ksys_write ksys_lseek pipe_read pipe_write pipe_set_size no_llseek \
         generic_copy_file_checks flock_lock_inode do_epoll_ctl do_inotify_init inotify_update_watch \
         kernfs_fop_open kernfs_fop_write_iter proc_reg_write shmem_setattr shmem_write_begin \
         simple_xattr_set shmem_fileattr_set eventfd_read eventfd_write f_dupfd pipe_fcntl fcntl_setlk \
         flock64_to_posix_lock generic_setlease fcntl_setlease vfs_clone_file_range do_clone_file_range \
         generic_remap_file_range_prep iterate_dir vfs_utimes generic_fadvise do_handle_open \
         lookup_one_len lookup_one_common chrdev_open misc_open lookup_bdev blkdev_get_by_dev mem_rw \
         proc_pid_attr_write oom_score_adj_write timerslack_ns_write proc_coredump_filter_write \
         default_affinity_write devkmsg_llseek generic_file_llseek_size",
    ),
    (
        "mounts",
        "path_mount do_move_mount_old do_move_mount path_umount mount_capable get_fs_type __get_fs_type \
         vfs_parse_fs_param fs_param_is_u32 __fs_parse vfs_get_tree get_tree_bdev shmem_parse_one \
         shmem_fill_super ovl_fill_super ext4_fill_super sb_prepare_remount_readonly shmem_parse_options \
         proc_parse_param proc_fill_super cgroup2_parse_param btrfs_parse_options xfs_fs_parse_param \
         ext4_parse_param mount_setattr_prepare do_add_mount do_loopback do_change_type \
         do_reconfigure_mnt do_remount reconfigure_super",
    ),
    (
        "programs",
        "bprm_execve do_open_execat do_execveat_common load_elf_binary load_script copy_strings \
         copy_process copy_clone_args_from_user",
    ),
    (
        "processes",
        "kill_something_info kill_pid_info check_kill_permission ptrace_attach __ptrace_may_access \
         find_get_task_by_vpid do_prlimit __sched_setscheduler set_one_prio __set_cpus_allowed_ptr \
         do_seccomp ksys_unshare create_user_ns create_new_namespaces userns_install map_write \
         proc_uid_map_write pids_can_fork do_timer_create do_sys_settimeofday64 __sys_setuid \
         __set_oom_adj pidfd_pid do_wait ptrace_request ptrace_check_attach ptrace_traceme prctl_set_mm \
         cap_task_prctl do_arch_prctl_64 cap_validate_magic cap_capset sched_setaffinity \
         __sched_setaffinity __sched_setparam_dl do_setitimer do_adjtimex __lock_timer \
         posix_cpu_timer_create validate_nsset pidns_install mntns_install netns_install cgroupns_install \
         find_task_by_vpid do_rt_sigqueueinfo proc_setgroups_write",
    ),
    (
        "memory",
        "do_mmap ksys_mmap_pgoff mmap_region get_unmapped_area __do_munmap do_mas_align_munmap \
         do_mas_munmap do_mprotect_pkey vma_to_resize do_madvise apply_vma_lock_flags do_mlock \
         can_do_mlock __vm_enough_memory hugetlb_reserve_pages hugetlb_acct_memory memfd_fcntl \
         memfd_add_seals cap_mmap_addr mpol_new mpol_new_nodemask do_set_mempolicy kernel_mbind do_mremap \
         new_userfaultfd",
    ),
    (
        "ipc",
        "newseg do_shmat ksys_semget ipcget ipc_obtain_object_idr ipc_obtain_object_check \
         ipcctl_obtain_check do_mq_open mqueue_get_inode futex_wait_setup futex_wait newary newque \
         semctl_setval semctl_main do_msgsnd do_msgrcv __do_semtimedop do_semtimedop do_mq_notify \
         futex_unlock_pi",
    ),
    (
        "sockets",
        "__sock_create inet_create inet_bind __inet_bind inet_csk_get_port unix_find_other \
         unix_stream_connect __inet_stream_connect inet_accept inet_shutdown sock_setsockopt \
         sk_setsockopt tcp_setsockopt do_tcp_setsockopt sock_do_ioctl sock_setbindtodevice \
         sock_bindtoindex udp_sendmsg udp_recvmsg __sys_listen inet6_create unix_create netlink_create \
         packet_create inet_listen unix_listen sock_no_listen sock_no_socketpair sock_no_accept \
         sock_no_bind sock_no_connect inet_getname inet6_getname unix_bind netlink_bind netlink_insert \
         netlink_connect netlink_sendmsg packet_bind packet_do_bind packet_setsockopt packet_set_ring \
         packet_sendmsg inet6_bind __inet6_bind tcp_v4_connect tcp_v6_connect tcp_sendmsg_locked \
         tcp_recvmsg_locked unix_dgram_sendmsg unix_stream_sendmsg unix_dgram_connect \
         __unix_dgram_recvmsg unix_dgram_recvmsg unix_stream_read_generic ip_setsockopt do_ip_setsockopt \
         do_ip_getsockopt ipv6_setsockopt do_ipv6_setsockopt do_tcp_getsockopt sock_getsockopt \
         sk_getsockopt sock_set_timeout tcp_set_congestion_control tcp_ca_find_autoload \
         __ip_mc_join_group ip_mc_leave_group ip6_mc_source __get_filter bpf_prepare_filter \
         inet_dgram_connect __ip4_datagram_connect __ip6_datagram_connect __sock_cmsg_send __scm_send \
         sock_alloc_send_pskb inet_csk_accept alg_bind crypto_alg_mod_lookup raw_sendmsg inet_ioctl \
         dev_ioctl dev_ifsioc vsock_bind vsock_connect",
    ),
    (
        "netlink",
        "rtnl_newlink __rtnl_newlink rtnl_getlink do_setlink dev_set_mtu_ext dev_validate_mtu \
         __dev_get_by_name __dev_get_by_index inet_rtm_newaddr inet_rtm_deladdr inet_rtm_newroute \
         fib_create_info fib_table_insert fib_table_delete tc_modify_qdisc tc_get_qdisc qdisc_create \
         tc_new_tfilter __tcf_qdisc_find nft_table_lookup xfrm_del_sa xfrm_state_lookup tun_set_iff \
         br_add_if rtnl_dellink rtm_to_ifaddr neigh_add neigh_delete fib_nl_newrule fib_nl_delrule \
         inet_rtm_delroute inet_rtm_getroute inet6_rtm_newaddr ip6_route_info_create ip6_route_add \
         rtnl_setlink rtnl_fdb_add rtnl_fdb_del tc_del_tfilter tc_ctl_tclass qdisc_graft \
         genl_family_rcv_msg rtm_to_fib_config",
    ),
    (
        "keys",
        "key_lookup lookup_user_key key_type_lookup key_create_or_update request_key_and_link \
         user_preparse key_alloc __key_create_or_update keyring_search_rcu keyring_search key_validate \
         keyctl_update_key",
    ),
    (
        "bpf",
        "__sys_bpf map_create bpf_prog_load bpf_check check_subprogs check_reg_arg resolve_pseudo_ldimm64 \
         htab_map_alloc_check htab_map_alloc array_map_alloc_check array_map_alloc htab_map_update_elem \
         htab_map_delete_elem alloc_htab_elem bpf_map_copy_value ringbuf_map_alloc __bpf_prog_get \
         btf_parse_hdr bpf_check_uarg_tail_zero __check_reg_arg check_mem_access \
         check_stack_access_within_bounds check_helper_call check_func_arg check_return_code \
         check_btf_info bpf_obj_pin_user bpf_obj_get_user bpf_obj_do_pin link_create bpf_map_update_value \
         btf_new_fd btf_parse bpf_prog_attach_check_attach_type trie_alloc stack_map_alloc",
    ),
    (
        "machine",
        "perf_event_alloc perf_copy_attr perf_init_event load_module layout_and_allocate simplify_symbols \
         find_module_all io_uring_create io_uring_setup blkdev_ioctl blkdev_common_ioctl do_vfs_ioctl \
         lo_ioctl loop_configure dm_table_add_target elevator_get cgroup_procs_write_start \
         cgroup_subtree_control_write cgroup_mkdir cgroup_destroy_locked proc_sys_call_handler \
         do_proc_dointvec  elv_iosched_store state_store \
         io_sqe_files_register io_sqe_buffers_register io_sqe_buffer_register elf_validity_check \
         module_sig_check check_version setup_load_info proc_dointvec_minmax do_proc_dointvec_minmax_conv \
         __do_proc_dointvec proc_get_long proc_dostring do_proc_douintvec_minmax_conv cgroup_file_write \
         cgroup_type_write cgroup_max_depth_write cgroup_attach_permissions cgroup_migrate_vet_dst \
         memory_max_write pids_max_write cpuset_write_resmask sched_feat_write",
    ),
    (
        "terminals and devices",
        "tty_open pty_open tty_ioctl tty_jobctrl_ioctl n_tty_ioctl_helper loop_control_ioctl \
         __tun_chr_ioctl userfaultfd_ioctl ctl_ioctl",
    ),
];

/// Returns whether a function is one of them. `name` is without what the compiler puts behind.
pub(crate) fn is_common_decider(name: &str) -> bool {
    let mut all = COMMON_DECIDERS.iter();
    all.any(|(_, names)| names.split(' ').any(|one| one == name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{COMMON_DECIDERS, is_common_decider};

    #[test]
    fn each_is_named_once() {
        let names = || {
            COMMON_DECIDERS
                .iter()
                .flat_map(|(_, names)| names.split(' '))
        };
        let distinct: BTreeSet<_> = names().collect();
        assert_eq!(distinct.len(), names().count());
        assert!(is_common_decider("path_mount") && !is_common_decider("mount"));
    }
}
