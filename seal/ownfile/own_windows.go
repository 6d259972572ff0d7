package ownfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// NoFollow is not needed: making a symbolic link takes an administrator here.
const NoFollow = 0

// mayRead are the rights that let somebody read a file, or give themselves that
// right.
const mayRead = windows.FILE_READ_DATA | windows.GENERIC_READ | windows.GENERIC_ALL | windows.WRITE_DAC | windows.WRITE_OWNER

// Private says who but its owner, the system and its administrators may read the
// file at path, and how to mend that, or nil.
func Private(path string, _ fs.FileInfo) error {
	descriptor, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("read who may read it: %w", err)
	}
	owner, _, err := descriptor.Owner()
	if err != nil {
		return fmt.Errorf("read its owner: %w", err)
	}
	list, _, err := descriptor.DACL()
	if err != nil || list == nil {
		return fmt.Errorf("everybody may read it: give it to its owner alone (icacls %s /inheritance:r /grant:r \"%%USERNAME%%:F\")", path)
	}
	trusted, err := trusted(owner)
	if err != nil {
		return err
	}
	for i := range uint32(list.AceCount) {
		var entry *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(list, i, &entry); err != nil {
			return fmt.Errorf("read who may read it: %w", err)
		}
		if entry.Header.AceType != windows.ACCESS_ALLOWED_ACE_TYPE || entry.Mask&mayRead == 0 {
			continue
		}
		who := (*windows.SID)(unsafe.Pointer(&entry.SidStart))
		if !contains(trusted, who) {
			return fmt.Errorf("%s may read it: give it to its owner alone (icacls %s /inheritance:r /grant:r \"%%USERNAME%%:F\")", who, path)
		}
	}
	return nil
}

// trusted are who may read any file: its owner, the system and administrators.
func trusted(owner *windows.SID) ([]*windows.SID, error) {
	sids := []*windows.SID{owner}
	for _, known := range []windows.WELL_KNOWN_SID_TYPE{windows.WinLocalSystemSid, windows.WinBuiltinAdministratorsSid, windows.WinCreatorOwnerRightsSid} {
		sid, err := windows.CreateWellKnownSid(known)
		if err != nil {
			return nil, fmt.Errorf("name the system's own users: %w", err)
		}
		sids = append(sids, sid)
	}
	return sids, nil
}

func contains(list []*windows.SID, sid *windows.SID) bool {
	for _, one := range list {
		if one.Equals(sid) {
			return true
		}
	}
	return false
}

// Restrict makes a file that was just opened its owner's alone, whatever its
// folder hands down.
func Restrict(file *os.File) error {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return fmt.Errorf("name the user: %w", err)
	}
	entries := []windows.EXPLICIT_ACCESS{{
		AccessPermissions: windows.GENERIC_ALL, AccessMode: windows.GRANT_ACCESS, Inheritance: windows.NO_INHERITANCE,
		Trustee: windows.TRUSTEE{TrusteeForm: windows.TRUSTEE_IS_SID, TrusteeValue: windows.TrusteeValueFromSID(user.User.Sid)},
	}}
	list, err := windows.ACLFromEntries(entries, nil)
	if err != nil {
		return fmt.Errorf("say who may read %s: %w", file.Name(), err)
	}
	err = windows.SetNamedSecurityInfo(file.Name(), windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, list, nil)
	if err != nil {
		return fmt.Errorf("give %s to its owner alone: %w", file.Name(), err)
	}
	return nil
}

// Create makes a file of the user's own that must not exist yet. It may be
// renamed and removed while it is open.
func Create(path string) (*os.File, error) {
	file, err := open(path, windows.GENERIC_READ|windows.GENERIC_WRITE, windows.CREATE_NEW)
	if err != nil {
		return nil, err
	}
	if err := Restrict(file); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(path))
	}
	return file, nil
}

// Open opens a file to read, likewise.
func Open(path string) (*os.File, error) {
	return open(path, windows.GENERIC_READ, windows.OPEN_EXISTING)
}

func open(path string, access, how uint32) (*os.File, error) {
	const shared = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	handle, err := windows.CreateFile(name, access, shared, nil, how, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(handle), path), nil
}

// Lock takes the lock of an open file, which closing it gives back, or returns
// ErrLocked. It is of a byte far behind what is written, which stays readable.
func Lock(file *os.File) error {
	const behind = 1 << 30
	err := windows.LockFileEx(windows.Handle(file.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0,
		&windows.Overlapped{Offset: behind})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return ErrLocked
	}
	return err
}

// SyncDir does nothing: the file system keeps a journal of its folders.
func SyncDir(string) error { return nil }

// NoSpace tells a disk or a quota that is used up from one that is broken.
func NoSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

// OfRoot tells whether a file is root's, who is nobody here.
func OfRoot(fs.FileInfo) bool { return false }
