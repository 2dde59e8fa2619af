/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protected.h - what in a working directory would let the sandbox act on the host later
 *
 * A program on the host that trusts the directory (git, an editor, a shell, a CI runner) executes
 * what these paths say.  Those that exist are mounted read-only over themselves; one flag lifts
 * that.  (.git itself only where it is a file.)  What does not exist cannot be mounted over without
 * leaving a dropping on the host, so it is looked for again at the end of the run and named.
 */
#pragma once
#include "base/arena.h"
#include "base/str.h"
#include "plan/spec.h"

/* clang-format off */
#define CV_PROTECTED(X) /* path below the working directory, who executes it */             \
	X(".git", "as a file it says where the repository is, and so what git executes")   \
	X(".git/hooks", "git runs these at commit, checkout and push")                     \
	X(".git/config", "git runs its aliases, filters, fsmonitor, pagers and ssh commands") \
	X(".git/config.worktree", "as .git/config")                                         \
	X(".git/commondir", "moves .git/config and .git/hooks elsewhere")                   \
	X("HEAD", "without a valid .git, git takes the directory itself for one")           \
	X(".git/info/attributes", "selects the filters that git runs")                      \
	X(".husky", "git hooks of Node projects")                                           \
	X(".pre-commit-config.yaml", "pre-commit runs what this names")                     \
	X(".envrc", "direnv runs it on entering the directory")                             \
	X(".mise.toml", "mise runs its hooks and sets the environment on entering")         \
	X(".vscode", "tasks and settings that the editor executes on opening")              \
	X(".idea", "run configurations and tasks of JetBrains editors")                     \
	X(".zed", "tasks and settings of the editor")                                       \
	X(".devcontainer", "commands that an editor runs on the host and in containers")    \
	X(".claude", "hooks and permissions of an agent on the host")                       \
	X(".mcp.json", "servers that an agent on the host starts")                          \
	X(".cursor", "servers and rules of an agent on the host")                           \
	X(".codex", "configuration of an agent on the host")                                \
	X(".gemini", "configuration of an agent on the host")                               \
	X(".github/workflows", "CI jobs with the project's secrets")                        \
	X(".github/actions", "as .github/workflows")                                        \
	X(".gitlab-ci.yml", "CI jobs with the project's secrets")                           \
	X(".gitlab", "CI templates")                                                        \
	X(".circleci", "CI jobs with the project's secrets")                                \
	X(".buildkite", "CI jobs with the project's secrets")                               \
	X("Jenkinsfile", "CI jobs with the project's secrets")                              \
	X("azure-pipelines.yml", "CI jobs with the project's secrets")                     \
	X(".profile", "a home: shells run it when they begin")                             \
	X(".bash_profile", "as .profile")                                                  \
	X(".bash_login", "as .profile")                                                    \
	X(".bashrc", "as .profile")                                                        \
	X(".bash_logout", "as .profile, when they end")                                    \
	X(".zshenv", "as .profile")                                                        \
	X(".zprofile", "as .profile")                                                      \
	X(".zshrc", "as .profile")                                                         \
	X(".zlogin", "as .profile")                                                        \
	X(".config/fish", "as .profile")                                                   \
	X(".config/git", "as .gitconfig")                                                  \
	X(".config/systemd", "services of the user")                                       \
	X(".config/autostart", "programs that a desktop starts")                           \
	X(".config/cove", "profiles and catalogs that cove takes by name")                 \
	X(".gitconfig", "as .git/config, in every repository")                             \
	X(".ssh", "who may log in, and what ssh runs")                                     \
	X(".local/bin", "programs that shells find by name")
/* clang-format on */

struct cv_protected_row {
	const char *path, *reason;
};

extern const struct cv_protected_row cv_protected_row[];
extern const size_t cv_protected_row_count;
