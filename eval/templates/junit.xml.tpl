{{%AUTOESCAPE context="XML"}}<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="{{NAME}}" tests="{{TESTS}}" failures="{{FAILURES}}" errors="{{ERRORS}}">
{{#SUITE}}
  <testsuite name="{{LANGUAGE}}" tests="{{TESTS}}" failures="{{FAILURES}}" errors="{{ERRORS}}">
{{#CASE}}
    <testcase name="{{TASK}} {{METRIC}}" classname="polygraft.{{LANGUAGE}}">
{{#FAILURE}}
      <failure type="fail" message="{{REASON}}"/>
{{/FAILURE}}
{{#ERROR}}
      <error type="{{KIND}}" message="{{REASON}}"/>
{{/ERROR}}
      <system-out>{{NUMBERS}}</system-out>
    </testcase>
{{/CASE}}
  </testsuite>
{{/SUITE}}
</testsuites>
