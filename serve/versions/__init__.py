"""The versions of the tagger in a model repository: who serves, who is on trial, who served when.

A version comes to serve in steps, each of which is whole or not at all:

    publish    checked, loaded beside the old one, warmed up, then given a share of callers
    promote    all callers; the old version is kept aside, and so is the one before it
    rollback   the version before, under a new number, so that no caller sees numbers go back

A step takes hold by its line in the history. One that dies before it is undone by the next step or
the next server that starts, one that dies after it is finished by them.

              before the line                        the line names      goes after it
    publish   a new folder with its encoder, loaded  the new one, or     the old one if not named:
              and warmed up beside the old one       both with a share   unloaded and kept
    promote   what is on trial is checked again      the same            the same
    rollback  the old bundle in a new folder,        the new one         what served: unloaded and
              loaded and warmed up                                       removed
    refuse    what there is of one that failed       what served         that: unloaded, removed

`history` holds what is agreed, `folders` what lies on the disk, `servers` what runs, and
`serve.repository` makes the three say the same.
"""
