# Field presence as protoc-c 1.4 can read it: see meson.build.
s/^( *)optional ([A-Za-z0-9_.]+) ([a-z0-9_]+) = (.*);$/\1oneof _\3 { \2 \3 = \4; }/
