"""The versions of the tagger in a model repository: who serves, who is on trial, who served when.

A version comes to serve in steps, each of which is whole or not at all:

    publish    checked, loaded beside the old one, warmed up, then given a share of callers
    promote    all callers; the old version is kept aside, and so is the one before it
    rollback   the version before, under a new number, so that no caller sees numbers go back

`history` holds what is agreed, `folders` what lies on the disk, `servers` what runs, and
`serve.repository` makes the three say the same.
"""
